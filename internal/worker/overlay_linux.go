package worker

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

//go:embed sitecustomize.py
var sitecustomize []byte

const (
	overlaysDir = "overlays"
	proofDir    = "proof"
	proofScript = "sitecustomize.py"
)

// overlayDir is a copy of an installed package with one tree's files laid over it.
type overlayDir struct {
	root string // first on the import path; holds the package and sitecustomize.py
	spec *Overlay
}

// overlayError names the file that keeps an overlay from being what it should be.
type overlayError struct{ what string }

func (e *overlayError) Error() string { return e.what }

func overlayFault(format string, args ...any) error {
	return &overlayError{what: fmt.Sprintf(format, args...)}
}

// makeOverlay checks that the installed package is the base, and makes (or finds) the overlay's folder. The folder's name
// holds the tree and a key over the installed files and the archive, so another installation gets another folder.
func makeOverlay(workdir, inbox, installed string, spec *Overlay) (*overlayDir, error) {
	if err := checkBase(installed, spec); err != nil {
		return nil, err
	}
	tar := filepath.Join(inbox, spec.Tar)
	got, err := digestFile(tar)
	if err != nil {
		return nil, fmt.Errorf("read the overlay's archive: %w", err)
	}
	if got != spec.TarDigest {
		return nil, overlayFault("archive %s has digest %s, the plan says %s", spec.Tar, got, spec.TarDigest)
	}
	key, err := overlayKey(installed, spec)
	if err != nil {
		return nil, fmt.Errorf("read the installed package: %w", err)
	}
	o := &overlayDir{root: filepath.Join(workdir, overlaysDir, spec.Tree, key), spec: spec}
	if !exists(o.root) {
		if err := o.build(installed, tar); err != nil {
			return nil, err
		}
	}
	return o, o.checkWant()
}

// checkBase compares every touched file with the base commit's blob; one that the base lacks must not be installed.
func checkBase(installed string, spec *Overlay) error {
	for _, file := range slices.Sorted(maps.Keys(spec.Base)) {
		got, err := digestFile(filepath.Join(installed, file))
		if errors.Is(err, fs.ErrNotExist) {
			return overlayFault("%s of the base commit is not in the installed package %s", file, installed)
		}
		if err != nil {
			return err
		}
		if got != spec.Base[file] {
			return overlayFault("%s of the installed package differs from the base commit: sha256 %.12s, want %.12s", file, got, spec.Base[file])
		}
	}
	for _, file := range slices.Sorted(maps.Keys(spec.Want)) {
		if _, base := spec.Base[file]; !base && exists(filepath.Join(installed, file)) {
			return overlayFault("%s is new to the base commit but is in the installed package %s", file, installed)
		}
	}
	return nil
}

func (o *overlayDir) pkg() string {
	return filepath.Join(o.root, filepath.FromSlash(strings.ReplaceAll(o.spec.ImportName, ".", "/")))
}

// overlayKey is a digest over where the installed package lies, its files' names, sizes and times, and the archive.
func overlayKey(installed string, spec *Overlay) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, installed, spec.ImportName, spec.PackageRoot, spec.TarDigest)
	for _, file := range slices.Sorted(maps.Keys(spec.Base)) {
		fmt.Fprintln(h, file, spec.Base[file], spec.Want[file])
	}
	h.Write(sitecustomize)
	err := walkPackage(installed, func(rel string, info fs.FileInfo) error {
		fmt.Fprintln(h, rel, info.Size(), info.ModTime().UnixNano(), info.Mode())
		return nil
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

// walkPackage visits a package's files, links followed, without byte code: the overlay compiles its own.
func walkPackage(dir string, visit func(rel string, info fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "__pycache__" {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			return nil //nolint:nilerr // a dangling link or a link to a folder is no source file
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return visit(rel, info)
	})
}

// build makes the folder beside its place and renames it there: what exists is complete.
func (o *overlayDir) build(installed, tar string) error {
	if err := os.MkdirAll(filepath.Dir(o.root), 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(o.root), ".tmp-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	part := &overlayDir{root: tmp, spec: o.spec}
	if err := linkPackage(installed, part.pkg()); err != nil {
		return fmt.Errorf("copy the installed package: %w", err)
	}
	if err := layTar(tar, o.spec.PackageRoot, part.pkg()); err != nil {
		return err
	}
	for file := range o.spec.Base { // deleted by the tree
		if _, kept := o.spec.Want[file]; !kept {
			_ = os.Remove(filepath.Join(part.pkg(), file))
		}
	}
	if err := os.WriteFile(filepath.Join(tmp, proofScript), sitecustomize, 0o600); err != nil {
		return err
	}
	err = os.Rename(tmp, o.root)
	if exists(o.root) {
		return nil // ours, or another run's that was faster
	}
	return err
}

// linkPackage copies a package by hard links, by bytes where a link is refused (another file system or owner).
func linkPackage(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return walkPackage(from, func(rel string, info fs.FileInfo) error {
		src, dst := filepath.Join(from, rel), filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
			return err
		}
		if real, err := filepath.EvalSymlinks(src); err == nil && os.Link(real, dst) == nil {
			return nil
		}
		return copyFile(src, dst, info.Mode().Perm())
	})
}

func copyFile(src, dst string, mode fs.FileMode) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode|0o200)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// checkWant looks that the overlay holds what the process will have to prove. Files that are no Python modules cannot
// prove themselves; for them this look is the proof.
func (o *overlayDir) checkWant() error {
	for _, file := range slices.Sorted(maps.Keys(o.spec.Want)) {
		got, err := digestFile(filepath.Join(o.pkg(), file))
		if err != nil {
			return overlayFault("%s is not in the overlay of tree %s", file, o.spec.Tree)
		}
		if got != o.spec.Want[file] {
			return overlayFault("%s of tree %s has sha256 %.12s, the plan wants %.12s", file, o.spec.Tree, got, o.spec.Want[file])
		}
	}
	return nil
}

// environ puts the overlay first on the import path and asks for proofs in dir.
func (o *overlayDir) environ(env map[string]string, dir string) {
	path := o.root
	if given := env["PYTHONPATH"]; given != "" {
		path += ":" + given
	}
	env["PYTHONPATH"] = path
	env["SOTALOOP_PROOF_DIR"] = dir
	env["SOTALOOP_PROOF_PACKAGE"] = o.spec.ImportName
	env["SOTALOOP_PROOF_FILES"] = strings.Join(slices.Sorted(maps.Keys(o.spec.Want)), ":")
}

// digestFile is the hex SHA-256 of a regular file.
func digestFile(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe in a package must not hang us
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
