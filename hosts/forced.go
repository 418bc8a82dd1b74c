package hosts

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// ForcedKind says what a command line that this package's SSH transport sends would do.
type ForcedKind string

// The kinds of what is sent.
const (
	ForcedRun     ForcedKind = "run"     // run Args and wait for it
	ForcedStart   ForcedKind = "start"   // start Args detached
	ForcedKill    ForcedKind = "kill"    // kill the process group of Args: pid, start time
	ForcedDigest  ForcedKind = "digest"  // of the worker's program: Args: folder, name
	ForcedReceive ForcedKind = "receive" // write the input to a new file: Args: destination, name of the new file beside it
	ForcedPlace   ForcedKind = "place"   // rename it to its destination: Args: destination, name, mode
	ForcedDiscard ForcedKind = "discard" // remove it: Args: destination, name
	ForcedSend    ForcedKind = "send"    // write a file to the output: Args: path
)

// Forced is a command line, understood.
type Forced struct {
	Kind ForcedKind
	Mark string // what its output begins with, "" for a kill
	Args []string
	Argv []string // all of it, for a shell that is not the login shell's
}

// ErrForeign says that a command line is none that this package's transport sends.
var ErrForeign = errors.New("no command line of sotaloop's transport")

// fileScripts are the scripts that commands consist of, by what they do, with how many arguments each has.
func fileScripts() map[string]struct {
	kind ForcedKind
	args int
} {
	return map[string]struct {
		kind ForcedKind
		args int
	}{
		digestScript: {ForcedDigest, 2}, receiveScript: {ForcedReceive, 2}, placeScript: {ForcedPlace, 3}, discardScript: {ForcedDiscard, 2}, sendScript: {ForcedSend, 1},
	}
}

var markPattern = regexp.MustCompile(`^sotaloop:[A-Z2-7]{26}$`)

// ParseForced reads the command line that OpenSSH puts into SSH_ORIGINAL_COMMAND for a forced command. It takes exactly
// what this package's transport writes, byte for byte: fixed scripts, no environment, no folder. Everything else is
// ErrForeign, sessions for a person included.
func ParseForced(line string) (Forced, error) {
	argv, err := splitLine(line)
	if err != nil {
		return Forced{}, err
	}
	if len(argv) == 6 && slices.Equal(argv[:4], []string{"/bin/sh", "-c", killScript, "sh"}) {
		return Forced{Kind: ForcedKill, Args: argv[4:], Argv: argv}, nil
	}
	if len(argv) < 5 || !markPattern.MatchString(argv[4]) {
		return Forced{}, ErrForeign
	}
	mark := argv[4]
	if args, ok := after(argv, startArgv(mark, Cmd{})); ok {
		return Forced{Kind: ForcedStart, Mark: mark, Args: args, Argv: argv}, nil
	}
	args, ok := after(argv, runArgv(mark, Cmd{}))
	if !ok {
		return Forced{}, ErrForeign
	}
	if len(args) > 4 && args[0] == "/bin/sh" {
		script, known := fileScripts()[args[2]]
		if !known || args[1] != "-c" || args[3] != "sh" || len(args[4:]) != script.args {
			return Forced{}, ErrForeign
		}
		return Forced{Kind: script.kind, Mark: mark, Args: args[4:], Argv: argv}, nil
	}
	return Forced{Kind: ForcedRun, Mark: mark, Args: args, Argv: argv}, nil
}

// after gives what follows a beginning, and something has to.
func after(argv, begin []string) ([]string, bool) {
	if len(argv) <= len(begin) || !slices.Equal(argv[:len(begin)], begin) {
		return nil, false
	}
	return argv[len(begin):], true
}

// splitLine is the inverse of commandLine. A line that is not what commandLine makes of the words is refused.
func splitLine(line string) ([]string, error) {
	rest, ok := strings.CutPrefix(line, "exec ")
	if !ok || len(line) > 2*maxCmdBytes {
		return nil, ErrForeign
	}
	var words []string
	var word strings.Builder
	inside := false
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '\'':
			inside = !inside
		case inside:
			word.WriteByte(c)
		case c == '\\' && i+1 < len(rest):
			i++
			word.WriteByte(rest[i])
		case c == ' ':
			words = append(words, word.String())
			word.Reset()
		default:
			return nil, ErrForeign
		}
	}
	words = append(words, word.String())
	if inside || commandLine(words) != line {
		return nil, ErrForeign
	}
	return words, nil
}
