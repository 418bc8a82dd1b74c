package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/policy"
)

// home is where configuration and state lie. With SOTALOOP_HOME everything is under it; else the XDG folders. What
// /etc/sotaloop holds overrides the user's files.
type home struct {
	state  string // runs, transcripts, locks, logs
	config string // hosts.yaml, policy.yaml, allowed_signers
	user   string // the user's home folder
}

// systemConfig is the engineer's folder that a user cannot write.
const systemConfig = "/etc/sotaloop"

// findHome resolves the folders; dir, from a flag, wins over the environment.
func findHome(dir string) (home, error) {
	user, err := os.UserHomeDir()
	if err != nil {
		return home{}, err
	}
	if dir == "" {
		dir = os.Getenv("SOTALOOP_HOME")
	}
	if dir != "" {
		abs, err := filepath.Abs(dir)
		return home{state: abs, config: filepath.Join(abs, "config"), user: user}, err
	}
	h := home{state: os.Getenv("XDG_STATE_HOME"), config: os.Getenv("XDG_CONFIG_HOME"), user: user}
	if h.state == "" {
		h.state = filepath.Join(user, ".local", "state")
	}
	if h.config == "" {
		h.config = filepath.Join(user, ".config")
	}
	h.state, h.config = filepath.Join(h.state, "sotaloop"), filepath.Join(h.config, "sotaloop")
	return h, nil
}

// roots are where the files that decide may lie.
func (h home) roots() policy.Roots { return policy.Roots{System: systemConfig, User: h.config} }

// file gives the path of a configuration file: the system's where it exists, else the user's.
func (h home) file(name string) string { return h.roots().File(name) }

// policy reads the engineer's policy as it is now.
func (h home) policy() (policy.Policy, error) { return policy.Read(h.file(policy.PolicyFile)) }

// inventory reads the engineer's hosts as they are now; without a file there are none.
func (h home) inventory() (*hosts.Inventory, error) {
	path := h.file(policy.HostsFile)
	raw, err := policy.Self().ReadFile(path, "hosts file")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return hosts.ParseInventory(raw, path)
}

// approvers reads allowed_signers as it is now; without a file there is nobody.
func (h home) approvers() ([]byte, error) {
	raw, err := policy.Self().ReadFile(h.file(policy.ApproversFile), "approvers file")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return raw, err
}

// sshFiles gives client configuration and known hosts of this home where it has its own, else nil for the user's.
func (h home) sshFiles() (config, known []string) {
	own := filepath.Join(h.config, "ssh_config")
	if _, err := os.Stat(own); err == nil {
		config = []string{own}
	}
	own = filepath.Join(h.config, "known_hosts")
	if _, err := os.Stat(own); err == nil {
		known = []string{own}
	}
	return config, known
}
