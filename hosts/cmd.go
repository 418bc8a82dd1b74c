package hosts

import (
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// DefaultMaxOutput is how many bytes of each output stream a Result keeps when Cmd.MaxOutput is zero.
const DefaultMaxOutput = 1 << 20

// maxCmdBytes bounds arguments and environment together, quoted. SSH passes a whole command as one argument to the
// login shell, and Linux takes at most 128 KiB in one argument.
const maxCmdBytes = 100_000

// Cmd is a command for a host.
type Cmd struct {
	// Argv is the program and its arguments, passed on byte for byte. The program is a path, or a name looked up
	// in PATH as the command sees it. "~/" is not expanded here: see [Home].
	Argv []string
	// Env is added to the environment that the account has there (on the local machine: this process has), and
	// wins over it.
	Env map[string]string
	// Dir is the working folder: absolute, or beginning with "~/"; empty is the account's home folder.
	Dir string
	// Stdin is fed to the command; nil is an empty input. A command may end without having read it all.
	Stdin io.Reader
	// MaxOutput caps what is kept of stdout and of stderr, in bytes each; the rest is read and dropped.
	// Zero: DefaultMaxOutput.
	MaxOutput int
}

// validate refuses what some transport could not carry.
func (c Cmd) validate() error {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return fault.New(fault.InvalidInput, "a command without a program").At("argv", "")
	}
	if strings.HasPrefix(c.Argv[0], "-") {
		return fault.New(fault.InvalidInput, "program %q begins with a dash", c.Argv[0]).At("argv", c.Argv[0]).
			Hint("write it as a path: %q", "./"+c.Argv[0])
	}
	for name := range c.Env {
		if wrong := checkVariable(name); wrong != "" {
			return fault.New(fault.InvalidInput, "%q %s", name, wrong).At("env", name)
		}
	}
	if c.Dir != "" {
		if err := validatePath("dir", c.Dir); err != nil {
			return err
		}
	}
	if c.MaxOutput < 0 {
		return fault.New(fault.InvalidInput, "max output %d is negative", c.MaxOutput).At("max_output", "")
	}
	return c.validateBytes()
}

func (c Cmd) validateBytes() error {
	size := 0
	for _, s := range slices.Concat(c.Argv, c.assignments()) {
		if strings.ContainsRune(s, 0) {
			return fault.New(fault.InvalidInput, "%q has a NUL byte", s).At("argv", s)
		}
		size += len(quote(s)) + 1
	}
	if size > maxCmdBytes {
		return fault.New(fault.InvalidInput, "command line and environment take %d bytes, %d are possible", size, maxCmdBytes).
			Hint("pass the data on standard input or upload it as a file")
	}
	return nil
}

// assignments gives the environment as NAME=value, sorted.
func (c Cmd) assignments() []string {
	list := make([]string, 0, len(c.Env))
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		list = append(list, name+"="+c.Env[name])
	}
	return list
}

// maxOutput is the cap with its default.
func (c Cmd) maxOutput() int {
	if c.MaxOutput == 0 {
		return DefaultMaxOutput
	}
	return c.MaxOutput
}

// validateDetached refuses what a detached command cannot have.
func (c Cmd) validateDetached() error {
	if c.Stdin != nil || c.MaxOutput != 0 {
		return fault.New(fault.InvalidInput, "a detached command has neither input nor output").At("stdin", "")
	}
	return c.validate()
}

// validatePath refuses a path on a host that depends on a working folder.
func validatePath(field, p string) error {
	if !isRooted(p) || strings.ContainsRune(p, 0) {
		return fault.New(fault.InvalidInput, "%s %q is not a path on a host", field, p).At(field, p).
			Hint("begin with \"/\" or \"~/\"")
	}
	return nil
}
