//go:build linux

package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// approve is the engineer at a terminal: reads what is shown and types the proposal's name. It gives what was shown.
func (w *world) approve(campaign, proposal string) string {
	w.t.Helper()
	terminal, keyboard := w.terminal()
	var shown bytes.Buffer
	cmd := exec.CommandContext(w.t.Context(), w.programs.plain, "approve", campaign, proposal, "--home", w.home, "--key", w.key)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = w.environ(), terminal, &shown, &shown
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(w.t, cmd.Start())
	_, err := fmt.Fprintln(keyboard, proposal)
	require.NoError(w.t, err)
	err = cmd.Wait()
	require.NoError(w.t, err, "%s", shown.String())
	require.Contains(w.t, shown.String(), "Signed by "+approver)
	return shown.String()
}

// terminal makes a pseudo-terminal: what is written to keyboard is typed at terminal.
func (w *world) terminal() (terminal, keyboard *os.File) {
	w.t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = keyboard.Close() })
	require.NoError(w.t, unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	require.NoError(w.t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = terminal.Close() })
	return terminal, keyboard
}
