package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/discover"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
)

const hostsUsage = `usage: sotaloop hosts add NAME [--ssh ALIAS | --local] [--yes] [--home DIR]

Looks at a host for at most a minute, without changing anything there, and shows an entry for hosts.yaml with the reason of
each line. It is written when you say so: at a terminal, or with --yes. For a host that has an entry it shows what would be
added. ALIAS is one of your SSH configuration, or [user@]host[:port]; without it, NAME is.`

// hostsAdd is one call of sotaloop hosts add.
type hostsAdd struct {
	s          streams
	home       home
	file       string
	name, ssh  string
	local, yes bool
}

// runHosts writes hosts.yaml, with consent.
func runHosts(ctx context.Context, s streams, args []string) error {
	c := &hostsAdd{s: s}
	set := flag.NewFlagSet("hosts", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	dir := set.String("home", "", "folder of configuration and state")
	set.StringVar(&c.ssh, "ssh", "", "alias of the SSH configuration, or [user@]host[:port]")
	set.BoolVar(&c.local, "local", false, "this machine")
	set.BoolVar(&c.yes, "yes", false, "write without asking")
	rest, err := parseMixed(set, args)
	if err != nil || len(rest) != 2 || rest[0] != "add" || c.local && c.ssh != "" {
		return fault.New(fault.InvalidInput, "hosts takes add NAME, with --ssh ALIAS or --local").Hint("%s", hostsUsage)
	}
	c.name = rest[1]
	if c.home, err = findHome(*dir); err != nil {
		return err
	}
	c.file = c.home.file(policy.HostsFile)
	return c.run(ctx)
}

func (c *hostsAdd) run(ctx context.Context) error {
	data, err := c.read()
	if err != nil {
		return err
	}
	if err := c.target(data); err != nil {
		return err
	}
	entry, err := c.look(ctx)
	if err != nil {
		return err
	}
	change, err := discover.Add(data, c.file, entry)
	if err != nil {
		fmt.Fprintf(c.s.Out, "%s\n\n", strings.Join(entry.YAML(), "\n"))
		c.notes(entry)
		return err
	}
	switch {
	case change.IsEmpty():
		fmt.Fprintf(c.s.Out, "%s: the entry names everything that was found; nothing to change\n", c.name)
		c.notes(entry)
		return nil
	case change.New:
		fmt.Fprintf(c.s.Out, "%s\n\n", strings.Join(entry.YAML(), "\n"))
	default:
		fmt.Fprintf(c.s.Out, "%s\n", change.Diff(c.file))
	}
	c.notes(entry)
	if err := c.consent(); err != nil {
		return err
	}
	if err := c.write(data, change.After); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.s.Out, "written to %s\nnext: sotaloop doctor --host %s\n", c.file, c.name)
	return err
}

// read gives the file as it is; none is an empty one.
func (c *hostsAdd) read() ([]byte, error) {
	data, err := policy.Self().ReadFile(c.file, "hosts file")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// target decides how the host is reached: as said, else as its entry says, else by its name.
func (c *hostsAdd) target(data []byte) error {
	inv, err := hosts.ParseInventory(data, c.file)
	if err != nil {
		return err
	}
	if old, ok := inv.Hosts[c.name]; ok && c.ssh == "" {
		c.ssh, c.local = old.SSH, old.Local || c.local
	}
	if c.ssh == "" && !c.local {
		c.ssh = c.name
	}
	if c.local {
		c.ssh = ""
	}
	// The name is judged as it would be in the file.
	if _, err := hosts.ParseInventory([]byte(fmt.Sprintf("hosts: {%q: {local: true}}", c.name)), "NAME"); err != nil {
		return fault.New(fault.InvalidInput, "%q is no name of a host: begin with a letter or digit, go on with letters, digits, '.', '_' and '-'", c.name).At("name", c.name).
			Hint("sotaloop hosts add h100a --ssh %s", c.name)
	}
	return nil
}

// look connects and surveys. An unknown host key is refused: the person who owns the host says whether it is the right one.
func (c *hostsAdd) look(ctx context.Context) (discover.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, discover.Timeout)
	defer cancel()
	t := discover.Target{Name: c.name, SSH: c.ssh}
	config, known := c.home.sshFiles()
	opt := hosts.DialOptions{SSHConfig: config, KnownHosts: known, HomeDir: c.home.user, AgentSocket: os.Getenv("SSH_AUTH_SOCK"),
		KeyAccepted: func(_, kind, fingerprint string) { t.Key = kind + " " + fingerprint }}
	if isTerminal(c.s.Err) {
		fmt.Fprintf(c.s.Err, "looking at %s, read-only, for at most %.0f s …\n", c.name, discover.Timeout.Seconds())
	}
	conn, err := hosts.Dial(ctx, c.name, hosts.HostEntry{SSH: c.ssh, Local: c.local}, opt)
	if err != nil {
		return discover.Entry{}, err
	}
	defer func() { _ = conn.Close() }()
	if !c.local {
		r, err := hosts.ReadRoute(c.ssh, opt)
		if err != nil {
			return discover.Entry{}, err
		}
		t.Route = r.User + "@" + r.Address
	}
	found, err := discover.Survey(ctx, conn)
	if err != nil {
		return discover.Entry{}, err
	}
	return discover.Propose(found, t), nil
}

// notes prints what was found and not written.
func (c *hostsAdd) notes(e discover.Entry) {
	for _, n := range e.Notes {
		fmt.Fprintf(c.s.Out, "note: %s\n", gitops.Printable([]byte(n)))
	}
}

// consent asks at a terminal; elsewhere only --yes is one.
func (c *hostsAdd) consent() error {
	if c.yes {
		return nil
	}
	in, isFile := c.s.In.(*os.File)
	if !isFile || !isTerminal(in) {
		return fault.New(fault.NeedsApproval, "nothing was written: nobody at a terminal could be asked").At("yes", "false").
			Hint("read what is shown above, then repeat the command with --yes")
	}
	fmt.Fprintf(c.s.Err, "Write this to %s? [y/N] ", c.file)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return fault.New(fault.Canceled, "nothing was written")
	}
	return nil
}

// write replaces the file by one rename, unless somebody else changed it since it was read.
func (c *hostsAdd) write(before, after []byte) error {
	now, err := c.read()
	if err != nil {
		return err
	}
	if !bytes.Equal(now, before) {
		return fault.New(fault.Conflict, "%s was changed in the meantime: nothing was written", c.file).Hint("run the command again")
	}
	path, mode := c.file, fs.FileMode(0o600)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	return replaceFile(path, after, mode)
}

// replaceFile writes a file beside its place and renames it there: a reader sees the old one or the new one.
func replaceFile(path string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Wrap(fault.Denied, err, "%s cannot be made", dir)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fault.Wrap(fault.Denied, err, "%s cannot be written", path).Hint("as its owner, add by hand what is shown above")
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fault.Wrap(fault.Denied, err, "%s cannot be written", path), os.Remove(f.Name()))
	}
	return nil
}
