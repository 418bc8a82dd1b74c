// Command sotaloop is the MCP server, the worker that it puts on hosts, and the commands for people.
//
// Exit codes: 0 done; 1 the command failed; 2 bad usage; 3 a rule or the policy refused; 4 a host could not be reached;
// 5 damaged evidence.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/sim"
)

// version is set by the release build.
var version = "0.1.0-dev"

// streams are a command's standard streams.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// command is one subcommand.
type command struct {
	name, doc string
	run       func(ctx context.Context, s streams, args []string) error
}

// commands lists the subcommands in the order of the help.
func commands() []command {
	return []command{
		{"serve", "speak MCP on standard input and output (--http 127.0.0.1:PORT: over HTTP)", runServe},
		{"doctor", "look at this machine and the hosts; say what is wrong and what mends it", runDoctor},
		{"hosts", "describe a host: hosts add NAME [--ssh ALIAS] looks and writes hosts.yaml, with consent", runHosts},
		{"demo", "run a whole campaign on a simulated host: no GPU, no account, no network", runDemo},
		{"approve", "show a proposed patch with its evidence and sign it", runApprove},
		{"reject", "reject a proposed patch with a reason", runReject},
		{"approvals", "list the patches that wait for a person", runApprovals},
		{"verify", "check a run directory or a bundle offline", runVerify},
		{"transcript", "show a recorded conversation, or replay a simulated one", runTranscript},
		{"witness", "sign the heads of ledgers that are shown to it, as a forced command under another account", runWitness},
		{"recover", "copy what is intact of a damaged run directory into a new folder", runRecover},
		{"bundle", "write a sealed run directory as one file that verifies alone", runBundle},
		{"trace", "analyse torch-profiler traces", runTrace},
		{"compare", "give verdicts on rows made elsewhere", runCompare},
		{"dataset", "store a dataset on a host, and list what is there", runDataset},
		{"loadgen", "certify the load client, or offer a load to an endpoint of yours", runLoadgen},
		{"search", "replay a search strategy on a measured table", runSearch},
		{"policy", "print the policy in force, and who could change it", runPolicy},
		{"schema", "print the JSON Schema of hosts.yaml, or of policy.yaml", runSchema},
		{"version", "print the version", runVersion},
		{"worker", "the host's end; the server starts it", runWorker},
	}
}

func main() {
	if run, ok := sim.Personality(os.Args[0]); ok {
		os.Exit(run(os.Args[1:], os.Environ()))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := dispatch(ctx, streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// dispatch runs a subcommand and gives its exit code.
func dispatch(ctx context.Context, s streams, args []string) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		usage(s.Out)
		return 0
	}
	if args[0] == "--version" {
		args[0] = "version"
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return exitCode(s.Err, c.run(ctx, s, args[1:]))
		}
	}
	fmt.Fprintf(s.Err, "sotaloop: unknown command %q\n", args[0])
	usage(s.Err)
	return 2
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: sotaloop COMMAND [ARGUMENTS]")
	fmt.Fprintln(w)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.doc)
	}
}

// exitCode prints an error as a person reads it, hints below, and maps it to an exit code.
func exitCode(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	var passed exitWith
	if errors.As(err, &passed) {
		return int(passed)
	}
	fmt.Fprintf(w, "sotaloop: %s\n", err)
	f, ok := fault.As(err)
	if !ok {
		if errors.Is(err, context.Canceled) {
			return 130
		}
		return 1
	}
	for _, h := range f.Hints {
		fmt.Fprintf(w, "  hint: %s\n", h)
	}
	switch f.Code {
	case fault.InvalidInput, fault.NotFound:
		return 2
	case fault.RuleViolation, fault.Denied, fault.NeedsApproval:
		return 3
	case fault.HostUnreachable, fault.HostKey:
		return 4
	case fault.Corrupt:
		return 5
	}
	return 1
}

func runVersion(_ context.Context, s streams, _ []string) error {
	_, err := fmt.Fprintln(s.Out, "sotaloop", version)
	return err
}
