// Package hosts reaches the machines that the engineer's hosts.yaml names: it runs an argument vector
// there, starts one that outlives the connection, moves files and reads the state of the GPUs.
//
// The rules of this package:
//
//   - Remote execution has two kinds of failure, which are never mixed. An error says that the command could
//     not be run or observed; a command that ran and exited non-zero is a [Result].
//   - A command is an argument vector. Where a protocol insists on one line of shell (SSH does), only fixed
//     scripts are sent, and every argument reaches them as a quoted positional parameter.
//   - Host keys are checked strictly. Nothing here accepts, adds or replaces one.
//   - An OpenSSH directive is obeyed, is known to be harmless, or is refused by name. None is skipped silently.
//   - Hosts are Unix machines with a POSIX shell; a path is absolute or begins with "~/", the home folder of
//     the account there.
//
// Every transport passes the suite in hosts/hoststest.
package hosts
