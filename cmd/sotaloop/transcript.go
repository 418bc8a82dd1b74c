package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/transcripts"
)

const transcriptUsage = "usage: sotaloop transcript show [--campaign C] [--follow] FILE|RUN_DIR · sotaloop transcript replay RUN_DIR [--home DIR]"

// followEvery is how often a file that is followed is looked at.
const followEvery = 300 * time.Millisecond

// runTranscript reads records of conversations.
func runTranscript(ctx context.Context, s streams, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "show":
			return showTranscript(ctx, s, args[1:])
		case "replay":
			return runReplay(ctx, s, args[1:])
		}
	}
	return fault.New(fault.InvalidInput, "transcript shows or replays").Hint(transcriptUsage)
}

// showTranscript prints a transcript for a person.
func showTranscript(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("transcript show", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	campaign := set.String("campaign", "", "only what belongs to this campaign")
	follow := set.Bool("follow", false, "go on as the file grows, until interrupted")
	paths, err := parseMixed(set, args)
	if err != nil || len(paths) != 1 {
		return fault.New(fault.InvalidInput, "transcript show takes one file or run directory").Hint(transcriptUsage)
	}
	path := transcriptFile(paths[0])
	page := newTalkPage(s.Out)
	for {
		records, readErr := readTalk(path)
		if readErr != nil && len(records) == 0 {
			return readErr
		}
		if *campaign != "" {
			records = transcripts.Of(records, *campaign)
		}
		if err := page.show(transcripts.Exchanges(records), *follow && readErr == nil); err != nil || readErr != nil || !*follow {
			return firstError(err, readErr)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// transcriptFile takes a run directory for its transcript.
func transcriptFile(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(path, "transcript.jsonl")
	}
	return path
}

// readTalk reads a transcript; the records before damage come with the fault.
func readTalk(path string) ([]transcripts.Record, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "the transcript cannot be read").At("file", path).
			Hint("a server's own lie in the home's folder transcripts; a campaign's lies in its run directory once write_report ran")
	}
	records, err := transcripts.Open(raw)
	if err != nil {
		return records, fault.Wrap(fault.Corrupt, err, "%s does not verify", filepath.Base(path)).
			Hint("what was shown stands before the damage; behind it nothing can be relied on")
	}
	if len(records) == 0 {
		return nil, fault.New(fault.NotFound, "%s holds no message", path)
	}
	return records, nil
}

// took renders a duration.
func took(d time.Duration) string {
	if d < 50*time.Millisecond {
		return ""
	}
	return fmt.Sprintf(" (%.1f s)", d.Seconds())
}
