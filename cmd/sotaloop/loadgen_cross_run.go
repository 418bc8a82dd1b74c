package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// live runs both clients in turns.
func (c *loadgenCross) live(ctx context.Context, s streams, answer *crossAnswer) error {
	version, err := c.python3(ctx, "-c", "import importlib.metadata as m; print(m.version('"+c.as.Package()+"'))")
	if err != nil {
		return err
	}
	c.version = strings.TrimSpace(version)
	answer.Client, answer.ClientVersion, answer.Mock = c.as, c.version, c.load.BaseURL == ""
	if answer.Mock {
		address, stop, err := startMock(ctx, s.Err, crossMock())
		if err != nil {
			return fault.Wrap(fault.Internal, err, "the mock did not start")
		}
		defer func() { _ = stop() }()
		c.load.BaseURL = "http://" + address
	}
	answer.URL = c.load.BaseURL
	for round := 1; round <= c.rounds; round++ {
		fmt.Fprintf(s.Err, "round %d of %d\n", round, c.rounds)
		if err := c.round(ctx, answer, round); err != nil {
			return err
		}
	}
	return nil
}

// round runs each client once; who comes first changes from round to round.
func (c *loadgenCross) round(ctx context.Context, answer *crossAnswer, round int) error {
	var r crossRound
	theirs := func() error { return c.theirs(ctx, answer, &r, round) }
	ours := func() error { return c.ours(ctx, answer, &r, round) }
	order := []func() error{theirs, ours}
	if round%2 == 0 {
		slices.Reverse(order)
	}
	for _, run := range order {
		if err := run(); err != nil {
			return err
		}
	}
	answer.Rounds = append(answer.Rounds, r)
	return nil
}

// theirs runs the other client once.
func (c *loadgenCross) theirs(ctx context.Context, answer *crossAnswer, r *crossRound, round int) error {
	dir, err := os.MkdirTemp("", "sotaloop-cross-*")
	if err != nil {
		return fault.Wrap(fault.Internal, err, "make a folder for results")
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out, load := filepath.Join(dir, "results.json"), c.load
	load.Seed = round
	args, err := c.as.Command(load, out)
	if err != nil {
		return err
	}
	began := time.Now().UTC()
	if _, err := c.python3(ctx, args...); err != nil {
		return err
	}
	runs, err := readForeignFile(out)
	if err != nil {
		return err
	}
	run := runs[len(runs)-1]
	r.Theirs = run.Figures()
	if run.Failed > 0 || run.Completed < load.NumPrompts {
		answer.warn("round %d: %s completed %d of %d requests", round, c.as, run.Completed, load.NumPrompts)
	}
	if want := run.Completed * load.InputLen; math.Abs(float64(run.InputTokens-want)) > crossTolerance*float64(want) {
		answer.warn("round %d: %s counts %d prompt tokens, %d were asked for: its prompts are texts, which the server may cut otherwise", round, c.as, run.InputTokens, want)
	}
	if answer.Mock {
		e, err := run.MockErrors()
		if err != nil {
			return fault.Wrap(fault.FrameworkFailed, err, "the client's results do not hold the mock's outputs")
		}
		r.TheirsErrors = &e
	}
	row := c.row(run)
	row.StartedAt, row.BenchmarkCommand, row.RepeatIndex = &began, strings.Join(append([]string{c.python}, args...), " "), &round
	answer.Rows = append(answer.Rows, row)
	return nil
}

// ours runs our client once.
func (c *loadgenCross) ours(ctx context.Context, answer *crossAnswer, r *crossRound, round int) error {
	point, err := bench.Run(ctx, bench.Target{BaseURL: c.load.BaseURL, Path: bench.PathCompletions, Model: c.load.Model}, c.spec(round), nil)
	if err != nil {
		return err
	}
	if point.Counts.OK < point.Counts.Offered {
		answer.warn("round %d: of ours %d of %d requests succeeded: %v", round, point.Counts.OK, point.Counts.Offered, point.Counts.Errors)
	}
	if point.Audit.ClientLimited {
		answer.warn("round %d: ours was client_limited: %s", round, strings.Join(point.Audit.Reasons, "; "))
	}
	f, err := bench.AsForeign(point.Recording, c.as)
	if err != nil {
		return fault.Wrap(fault.FrameworkFailed, err, "our client measured nothing: %s", point.Reason)
	}
	r.Ours = &f
	if answer.Mock {
		e, err := bench.MockErrors(point.Recording)
		if err != nil {
			return fault.Wrap(fault.Internal, err, "hold our records against the mock")
		}
		r.OursErrors = &e
	}
	return nil
}

// python3 runs the interpreter and gives its standard output.
func (c *loadgenCross) python3(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.python, args...)
	cmd.Env = append(os.Environ(), c.as.Environment()...)
	cmd.WaitDelay = 5 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fault.Wrap(fault.Canceled, context.Cause(ctx), "cross-check cancelled")
	case errors.As(err, &exit):
		return "", fault.New(fault.FrameworkFailed, "%s failed (%s): %s", c.as, exit, lastLines(errs.String()+out.String())).
			Hint("run it by hand: %s %s", c.python, strings.Join(args, " "))
	case err != nil:
		return "", fault.Wrap(fault.NotFound, err, "--python").At("python", c.python).Hint("name the interpreter that %s is installed for, as venv/bin/python", c.as.Package())
	}
	return out.String(), nil
}

// lastLines is the end of a program's words, as one line.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(strings.Fields(strings.Join(lines[max(0, len(lines)-3):], " ")), " ")
}

// row is a run of theirs as a row that enters no verdict.
func (c *loadgenCross) row(run *bench.ForeignRun) compare.Row {
	row := compare.Row{Framework: contract.Framework(c.framework), Model: run.Model, Status: compare.StatusOK, Phase: compare.PhaseCross, Client: string(run.Client), ClientVersion: c.version,
		Simulated: c.framework == "mock", Metrics: compare.Metrics{}, Workload: compare.Workload{Kind: contract.KindRandom, Scenario: "cross_check", Endpoint: bench.PathCompletions,
			Arrival: contract.ArrivalClosed, MaxConcurrency: run.MaxConcurrency, RequestRate: run.RequestRate}}
	offered := run.Completed + run.Failed
	row.Workload.NumPrompts = &offered
	if run.MaxConcurrency == nil || run.RequestRate != nil {
		row.Workload.Arrival = ""
	}
	if run.Completed == 0 {
		row.Status, row.FailureReason = compare.StatusFailed, "no request succeeded"
	}
	for name, v := range run.Metrics {
		if v != nil && !math.IsNaN(*v) && !math.IsInf(*v, 0) {
			row.Metrics[name] = *v
		}
	}
	return row
}
