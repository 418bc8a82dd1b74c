package hosts

import (
	"slices"
	"strings"
)

// quote makes s one word of a shell's command line. Single quotes hold everything but ' and \, which stand escaped
// outside of them: POSIX needs that for ' only, but fish, which is a login shell too, reads \\ inside quotes.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, c := range []byte(s) {
		switch c {
		case '\'', '\\':
			b.WriteString(`'\`)
			b.WriteByte(c)
			b.WriteByte('\'')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// commandLine is what a login shell gets for argv: the shell makes way for a POSIX one.
func commandLine(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = quote(a)
	}
	return "exec " + strings.Join(words, " ")
}

// The scripts are fixed texts; whatever varies is a positional parameter.

// enterScript goes to the folder $2 and becomes the rest. $1 is the mark under which it reports on stderr.
const enterScript = `case "$2" in
''|'~') cd ;;
'~/'*) cd "$HOME/${2#??}" ;;
*) cd "$2" ;;
esac 2>/dev/null || { printf '%s nodir\n' "$1" >&2; exit 1; }
shift 2
exec "$@"`

// runScript tells who it is and becomes the command "$@". $0 is the mark: it begins stdout and stderr, so that
// what a login shell's start-up files print before it is not taken for output.
const runScript = `case "$1" in
*/*) [ -f "$1" ] && [ -x "$1" ] ;;
*) command -v "$1" >/dev/null 2>&1 ;;
esac || { printf '%s noprogram\n' "$0" >&2; exit 127; }
printf '%s\n' "$0"
printf '%s started %s %s\n' "$0" "$$" "$(cut -d ' ' -f 22 /proc/$$/stat 2>/dev/null)" >&2
exec "$@"`

// detachScript runs "$@" in a session of its own. The inner shell's output is the pipe of the substitution until it has
// made sure of the program and told its pid; then it is /dev/null, the pipe ends, and so does this shell. "&" would
// do without -f, but leaves SIGINT and SIGQUIT ignored for ever in what it starts.
const detachScript = `said=$(setsid -f "$@" </dev/null 2>/dev/null)
case "$said" in
'') printf '%s nosetsid\n' "$0" >&2; exit 127 ;;
noprogram) printf '%s noprogram\n' "$0" >&2; exit 127 ;;
esac
printf '%s\n' "$0"
printf '%s started %s\n' "$0" "$said" >&2`

// detachedScript is the inner shell of detachScript.
const detachedScript = `case "$1" in
*/*) [ -f "$1" ] && [ -x "$1" ] ;;
*) command -v "$1" >/dev/null 2>&1 ;;
esac || { printf 'noprogram\n'; exit 127; }
printf '%s\n' "$$"
exec "$@" >/dev/null 2>&1`

// killScript kills the process group of pid $1, which began at tick $2 after boot. A leader that has ended holds its
// group's number as long as a member lives, so a number without a process is still ours; another start time is not.
const killScript = `pid=$1 began=$2
stat=$(cat "/proc/$pid/stat" 2>/dev/null) || { kill -s KILL -- "-$pid" 2>/dev/null; exit 0; }
set -- ${stat##*) }
[ -z "$began" ] || [ "${20}" = "$began" ] || exit 0
if [ "$3" = "$pid" ]; then kill -s KILL -- "-$pid"; else kill -s KILL "$pid"; fi || [ ! -e "/proc/$pid" ]`

// runArgv is the argument vector by which a shell host runs c.
func runArgv(mark string, c Cmd) []string {
	return slices.Concat(
		[]string{"/bin/sh", "-c", enterScript, "sh", mark, c.Dir, "env"}, c.assignments(),
		[]string{"/bin/sh", "-c", runScript, mark}, c.Argv)
}

// startArgv is the argument vector by which a shell host starts c detached.
func startArgv(mark string, c Cmd) []string {
	return slices.Concat(
		[]string{"/bin/sh", "-c", enterScript, "sh", mark, c.Dir, "/bin/sh", "-c", detachScript, mark, "env"}, c.assignments(),
		[]string{"/bin/sh", "-c", detachedScript, "sh"}, c.Argv)
}
