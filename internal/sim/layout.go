package sim

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Layout names the places of a simulated host. All paths are absolute and free of symbolic links.
type Layout struct {
	Root         string            `json:"root"`
	Home         string            `json:"home"`          // HOME of every SSH command
	Bin          string            `json:"bin"`           // first in PATH; holds nvidia-smi
	ModelsDir    string            `json:"models_dir"`    // one folder a model
	ModelPath    string            `json:"model_path"`    // the model of Options
	ClientDir    string            `json:"client_dir"`    // what an SSH client needs; written by ServeSSH
	SSHConfig    string            `json:"ssh_config"`    // OpenSSH client configuration for Alias
	KnownHosts   string            `json:"known_hosts"`   // the server's key
	IdentityFile string            `json:"identity_file"` // the client's private key
	Alias        string            `json:"alias"`         // host name to connect to
	Engines      map[string]Engine `json:"engines"`       // by framework type
}

// Engine names the places of one installed framework.
type Engine struct {
	Type         string `json:"type"`
	Version      string `json:"version"`
	Venv         string `json:"venv"`
	Python       string `json:"python"`
	Executable   string `json:"executable"`    // console script
	SitePackages string `json:"site_packages"` // where the package's own source lies
}

func newLayout(root string, opt Options) Layout {
	client := filepath.Join(root, "client")
	l := Layout{
		Root: root, Home: filepath.Join(root, "home"), Bin: filepath.Join(root, "bin"),
		ModelsDir: filepath.Join(root, "models"), ModelPath: filepath.Join(root, "models", opt.Model.Name),
		ClientDir: client, SSHConfig: filepath.Join(client, "ssh_config"),
		KnownHosts: filepath.Join(client, "known_hosts"), IdentityFile: filepath.Join(client, "id_ed25519"),
		Alias: Alias, Engines: map[string]Engine{},
	}
	for _, name := range opt.Engines {
		p, _ := productOf(name)
		venv := filepath.Join(root, "venvs", p.folder)
		l.Engines[name] = Engine{
			Type: name, Version: p.version, Venv: venv, Python: filepath.Join(venv, "bin", "python"),
			Executable:   filepath.Join(venv, "bin", p.scripts[0]),
			SitePackages: filepath.Join(venv, "lib", "python3.12", "site-packages"),
		}
	}
	return l
}

// write creates the tree. It is idempotent, and leaves the client's keys and an existing sim.json alone.
func (l Layout) write(opt Options) error {
	for _, d := range []string{l.Home, l.Bin, l.ModelsDir, filepath.Join(l.Root, "run"), filepath.Join(l.Root, "tmp")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(l.ClientDir, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(l.Root, configName)); err != nil {
		if err := writeConfig(l.Root, opt.Config); err != nil {
			return err
		}
	}
	if err := link(opt.Binary, filepath.Join(l.Bin, "nvidia-smi")); err != nil {
		return err
	}
	if err := writeFiles(l.ModelPath, opt.Model.files()); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(l.Engines)) {
		if err := l.Engines[name].write(opt); err != nil {
			return fmt.Errorf("install %s: %w", name, err)
		}
	}
	return nil
}

func (e Engine) write(opt Options) error {
	p, _ := productOf(e.Type)
	bin := filepath.Join(e.Venv, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	for _, name := range append([]string{"python", "python3", "python3.12"}, p.scripts...) {
		if err := link(opt.Binary, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	if err := writeFiles(e.Venv, map[string][]byte{"pyvenv.cfg": []byte("home = /usr/bin\nversion = " + pythonVersion + "\n")}); err != nil {
		return err
	}
	return writeFiles(e.SitePackages, p.installed(opt))
}

// link makes name a symbolic link to target, replacing an earlier one.
func link(target, name string) error {
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Symlink(target, name)
}

// writeFiles writes files (slash-separated names below dir).
func writeFiles(dir string, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}
