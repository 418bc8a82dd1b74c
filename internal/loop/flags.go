package loop

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/jobs"
)

// helpTimeout bounds one help or version command: importing an engine takes a minute on a cold disk.
const helpTimeout = 3 * time.Minute

// pageFlags is how many flags one answer lists.
const pageFlags = 40

// flagsArgs are the job's arguments: filters and pages are the answer's, not the job's.
type flagsArgs struct {
	Entry   string `json:"entry"`
	Command string `json:"command"`
}

// ListFlags captures a framework's help and version on the campaign's host, once, and answers its flags.
func (l *Loop) ListFlags(ctx context.Context, r FlagsRequest) (Flags, error) {
	c, st, err := l.open(r.Campaign)
	if err != nil {
		return Flags{}, err
	}
	side, err := sideOf(st.Contract, r.Framework)
	if err != nil {
		return Flags{}, err
	}
	if r.Command == "" {
		r.Command = "serve"
	}
	if r.Command != "serve" {
		return Flags{}, fault.New(fault.InvalidInput, "unknown command %q", r.Command).At("command", r.Command, "serve")
	}
	j, err := c.ensureJob(ctx, "list_flags", flagsArgs{Entry: baseEntry(side.Entry), Command: r.Command})
	if err != nil {
		return Flags{}, err
	}
	if j.End == nil { // a warm engine answers within a second or two
		l.jobs.Wait(ctx, c.key(j.Job), shortWait, 0)
		if st, err = c.state(); err != nil {
			return Flags{}, err
		}
		j = st.Job(j.Job)
	}
	answer, err := c.jobAnswer(j)
	if err != nil || answer.State == StateRunning {
		return Flags{Answer: answer}, err
	}
	return c.flagsPage(side, r, answer)
}

func (c *campaign) flagsPage(side contract.Side, r FlagsRequest, answer Answer) (Flags, error) {
	st, err := c.state()
	if err != nil {
		return Flags{}, err
	}
	captured := st.Help[baseEntry(side.Entry)]
	help, err := c.help(st, side.Entry)
	if err != nil {
		return Flags{}, err
	}
	fw, err := framework.Of(side.Framework)
	if err != nil {
		return Flags{}, err
	}
	var match []framework.Flag
	for _, f := range help.Flags {
		if strings.Contains(strings.ToLower(f.Name+" "+f.Doc), strings.ToLower(r.Match)) {
			match = append(match, f)
		}
	}
	from, err := cursorAt(r.Cursor, len(match))
	if err != nil {
		return Flags{}, err
	}
	out := Flags{
		Answer: answer, Version: fault.ForeignName(captured.Version.Version, 60), Commit: fault.ForeignName(captured.Version.Commit, 60), HelpDigest: captured.Digest, Total: len(match),
		Flags: []map[string]any{},
	}
	for _, f := range match[from:min(from+pageFlags, len(match))] {
		out.Flags = append(out.Flags, flagLine(fw, f))
	}
	if next := from + pageFlags; next < len(match) {
		out.Cursor = strconv.Itoa(next)
	}
	out.Evidence = []string{stored(captured.Text)}
	return out, nil
}

// flagLine is one flag as an answer shows it.
func flagLine(fw framework.Framework, f framework.Flag) map[string]any {
	line := map[string]any{"name": strings.TrimLeft(f.Name, "-"), "kind": f.Kind, "class": fw.Class(f)}
	if len(f.Choices) > 0 {
		choices := make([]string, 0, len(f.Choices))
		for _, c := range f.Choices {
			choices = append(choices, fault.ForeignName(c, 60))
		}
		line["choices"] = choices
	}
	if f.Default != "" {
		line["default"] = f.Default
		if len(f.Default) > 40 || strings.ContainsFunc(f.Default, unicode.IsSpace) {
			line["default"] = fault.Foreign(f.Default, 60)
		}
	}
	if f.Doc != "" {
		line["doc"] = fault.Foreign(f.Doc, 120)
	}
	if f.Deprecated {
		line["deprecated"] = true
	}
	return line
}

// runFlags is the job: version, help, parsed flags, each kept as an artifact.
func (c *campaign) runFlags(ctx context.Context, j JobStarted, p *jobs.Progress) error {
	args, err := decodeArgs[flagsArgs](j)
	if err != nil {
		return err
	}
	st, err := c.state()
	if err != nil {
		return err
	}
	h, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return err
	}
	eng, _, err := engineOf(host, args.Entry)
	if err != nil {
		return err
	}
	fw, err := framework.Of(eng.Type)
	if err != nil {
		return err
	}
	p.Set(0.05, "asking "+args.Entry+" for its version")
	client, _, err := h.worker(ctx)
	if err != nil {
		return err
	}
	env := map[string]string{}
	maps.Copy(env, host.Env)
	maps.Copy(env, eng.Env)
	query := func(argv []string) (string, error) {
		out, exit, err := client.Query(ctx, argv, env, helpTimeout)
		if err != nil {
			return "", err
		}
		if exit != 0 {
			return "", fault.New(fault.FrameworkFailed, "%s exited %d: %s", argv[0], exit, fault.Foreign(c.loop.opt.Redact.String(out), 400)).
				At("framework", args.Entry).Hint("run the command on the host by hand: %s", strings.Join(argv, " "))
		}
		return c.loop.opt.Redact.String(out), nil
	}
	versionText, err := query(fw.VersionCommand(eng))
	if err != nil {
		return err
	}
	version, err := fw.ParseVersion(versionText)
	if err != nil {
		return err
	}
	p.Set(0.4, "asking "+args.Entry+" for its flags")
	argv, err := fw.HelpCommand(eng, args.Command)
	if err != nil {
		return err
	}
	text, err := query(argv)
	if err != nil {
		return err
	}
	help, err := fw.ParseHelp(text)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("help/%s_%s", args.Entry, args.Command)
	textArt, err := c.ledger.Put(name+".txt", bytes.NewReader([]byte(text)))
	if err != nil {
		return err
	}
	flagsArt, err := c.ledger.PutJSON(name+".json", help)
	if err != nil {
		return err
	}
	return c.put(ctx, kindHelp, HelpCaptured{Entry: args.Entry, Command: args.Command, Version: version, Digest: help.Digest, Text: textArt, Flags: flagsArt})
}

// open finds a campaign and its state.
func (l *Loop) open(id string) (*campaign, *State, error) {
	c, err := l.campaign(id)
	if err != nil {
		return nil, nil, err
	}
	st, err := c.state()
	return c, st, err
}

// sideOf finds a side by entry name, or by framework type where only one side is of it.
func sideOf(c *contract.Contract, name string) (contract.Side, error) {
	var names []string
	var typed []contract.Side
	for _, s := range c.Sides() {
		names = append(names, s.Entry)
		if s.Entry == name {
			return s, nil
		}
		if string(s.Framework) == name {
			typed = append(typed, s)
		}
	}
	if len(typed) == 1 {
		return typed[0], nil
	}
	f := fault.New(fault.InvalidInput, "%q is no side of this campaign", name).At("framework", name, names...).
		Hint("name an engine entry of the contract, or its framework type where only one side is of it")
	if near := nearest(name, names); near != "" {
		f.Hint("did you mean %q?", near)
	}
	return contract.Side{}, f
}

// cursorAt reads a page cursor.
func cursorAt(cursor string, total int) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(cursor)
	if err != nil || n < 0 || n > total {
		return 0, fault.New(fault.InvalidInput, "unknown cursor %q", cursor).At("cursor", cursor).Hint("pass the cursor of the answer before, or none for the first page")
	}
	return n, nil
}
