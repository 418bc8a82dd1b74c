package main

import (
	"os"
	"path/filepath"
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

// file gives the path of a configuration file: the system's where it exists, else the user's.
func (h home) file(name string) string {
	system := filepath.Join(systemConfig, name)
	if _, err := os.Stat(system); err == nil {
		return system
	}
	return filepath.Join(h.config, name)
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
