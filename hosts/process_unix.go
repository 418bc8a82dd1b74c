//go:build unix

package hosts

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// isPOSIX says that this machine can be a host.
const isPOSIX = true

// ownGroup puts the process into a group of its own, so that what it starts can be killed with it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// ownSession cuts the process loose from our terminal, our group and our descriptors. Go opens its own ones so that they
// end with an exec; what this process was handed by its parent without that mark gets it here.
func ownSession(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return // no such list on this machine: nothing that we could know of
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// killGroup kills the process and its group. A group that is gone is no error.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// exitOf says how a process ended; one that never began, or was left behind, has the exit code -1.
func exitOf(state *os.ProcessState) Result {
	if state == nil {
		return Result{ExitCode: -1}
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		name := unix.SignalName(status.Signal())
		if len(name) > 3 {
			name = name[3:] // without SIG
		}
		return Result{ExitCode: -1, Signal: name}
	}
	return Result{ExitCode: state.ExitCode()}
}
