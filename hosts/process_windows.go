package hosts

import (
	"os"
	"os/exec"
)

// isPOSIX says that this machine can be a host. Windows can be a client only: [NewLocal] refuses there, so that what
// follows is never reached.
const isPOSIX = false

func ownGroup(*exec.Cmd)             {}
func ownSession(*exec.Cmd)           {}
func killGroup(cmd *exec.Cmd)        { _ = cmd.Process.Kill() }
func exitOf(*os.ProcessState) Result { return Result{ExitCode: -1} }
