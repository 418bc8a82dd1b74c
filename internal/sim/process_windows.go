package sim

import (
	"errors"
	"os"
	"syscall"
)

// A simulated host runs on Unix; these let the binary that contains it compile.

func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func signalGroup(int, string) error { return errors.ErrUnsupported }

func signalName(*os.ProcessState) (string, bool) { return "", false }

func endProcess(int) error { return errors.ErrUnsupported }

func terminationSignals() []os.Signal { return []os.Signal{os.Interrupt} }
