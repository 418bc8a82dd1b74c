package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

const workerUsage = "usage: sotaloop worker run --dir D, sotaloop worker gate …, or sotaloop worker VERB with a JSON request on standard input"

// runWorker is the host's end of the worker protocol. People have no need to call it: worker.Client does.
func runWorker(ctx context.Context, s streams, args []string) error {
	if len(args) == 0 {
		return fault.New(fault.InvalidInput, "worker needs a verb").At("verb", "", worker.Verbs...).Hint("%s", workerUsage)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return fault.Wrap(fault.Denied, err, "this account has no home folder")
	}
	o := worker.HostOptions{In: s.In, Out: s.Out, Home: home, LookupEnv: os.LookupEnv}
	if args[0] == "gate" {
		return runGate(ctx, s, o, args[1:])
	}
	if args[0] != worker.VerbRun {
		if len(args) > 1 {
			return fault.New(fault.InvalidInput, "worker %s takes no argument, got %q", args[0], args[1]).At("verb", args[1]).Hint("%s", workerUsage)
		}
		return worker.Serve(ctx, o, args[0])
	}
	set := flag.NewFlagSet("worker run", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	dir := set.String("dir", "", "the run's folder")
	if err := set.Parse(args[1:]); err != nil {
		return fault.Wrap(fault.InvalidInput, err, "worker run").Hint("%s", workerUsage)
	}
	if *dir == "" || set.NArg() > 0 {
		return fault.New(fault.InvalidInput, "worker run needs --dir alone, got %q", fmt.Sprint(args[1:])).Hint("%s", workerUsage)
	}
	return worker.Run(ctx, o, *dir)
}
