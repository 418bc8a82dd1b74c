package hosts

import (
	"io"
)

// DefaultMaxOutput is how many bytes of each output stream a Result keeps when Cmd.MaxOutput is zero.
const DefaultMaxOutput = 1 << 20

// Cmd is a command for a host.
type Cmd struct {
	// Argv is the program and its arguments, passed on byte for byte. The program is a path or a name looked up
	// in PATH as the command sees it. "~/" is not expanded here: see [Home].
	Argv []string
	// Env is added to the environment that a login of the account has there, and wins over it.
	Env map[string]string
	// Dir is the working folder: absolute, or with "~/"; empty is the account's home folder over a network and
	// the calling process's folder on the local machine.
	Dir string
	// Stdin is fed to the command; nil is an empty input. A command may end without having read it all.
	Stdin io.Reader
	// MaxOutput caps what is kept of stdout and of stderr, in bytes; the rest is read and dropped.
	MaxOutput int
}
