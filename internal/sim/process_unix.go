//go:build unix

package sim

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownSession starts a command as leader of a session and process group of its own.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// signalGroup sends the signal with SSH's name ("TERM") to the process group of pid.
func signalGroup(pid int, name string) error {
	sig := unix.SignalNum("SIG" + name)
	if sig == 0 {
		return fmt.Errorf("no signal %q", name)
	}
	return syscall.Kill(-pid, sig)
}

// signalName is SSH's name of the signal that ended a process, if one did.
func signalName(state *os.ProcessState) (string, bool) {
	ws, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !ws.Signaled() {
		return "", false
	}
	return strings.TrimPrefix(unix.SignalName(ws.Signal()), "SIG"), true
}

// endProcess kills one process.
func endProcess(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }

// terminationSignals end an engine.
func terminationSignals() []os.Signal { return []os.Signal{syscall.SIGTERM, syscall.SIGINT} }
