package genuine_test

import (
	"os"
	"path/filepath"

	"github.com/stretchr/testify/require"
)

// change is what a tamperer does; it gives how that is undone.
type change = func() (undo func())

// file replaces a file's content.
func (e *env) file(path, text string) change {
	return func() func() {
		old, err := os.ReadFile(path)
		_, noDir := os.Stat(filepath.Dir(path))
		info, _ := os.Stat(path)
		put(e.t, path, text)
		return func() {
			switch {
			case err == nil:
				require.NoError(e.t, os.WriteFile(path, old, info.Mode()))
			case noDir != nil:
				require.NoError(e.t, os.RemoveAll(filepath.Dir(path)))
			default:
				require.NoError(e.t, os.Remove(path))
			}
		}
	}
}

func (e *env) write(name, text string) change { return e.file(e.at(filepath.FromSlash(name)), text) }

func (e *env) remove(name string) change {
	path := e.at(filepath.FromSlash(name))
	return func() func() {
		old, err := os.ReadFile(path)
		require.NoError(e.t, err)
		require.NoError(e.t, os.Remove(path))
		return func() { require.NoError(e.t, os.WriteFile(path, old, 0o644)) }
	}
}

// move renames a folder of packages.
func (e *env) move(name string) change {
	return func() func() {
		require.NoError(e.t, os.Rename(e.at(name), e.at("moved")))
		return func() { require.NoError(e.t, os.Rename(e.at("moved"), e.at(name))) }
	}
}

// folder puts a folder with one file on the import path.
func (e *env) folder(name string) change {
	dir := e.t.TempDir()
	put(e.t, filepath.Join(dir, filepath.FromSlash(name)), "")
	return e.write("paths.pth", dir+"\n")
}

// link points a link elsewhere.
func (e *env) link(path, to string) change {
	return func() func() {
		old, err := os.Readlink(path)
		require.NoError(e.t, err)
		require.NoError(e.t, os.Remove(path))
		require.NoError(e.t, os.Symlink(to, path))
		return func() {
			require.NoError(e.t, os.Remove(path))
			require.NoError(e.t, os.Symlink(old, path))
		}
	}
}

// script is a program that stands before an interpreter.
func (e *env) script() string {
	path := filepath.Join(e.t.TempDir(), "python3")
	put(e.t, path, "#!/bin/sh\nexec python3 \"$@\"\n")
	return path
}

func (e *env) both(a, b change) change {
	return func() func() {
		undoA := a()
		undoB := b()
		return func() { undoB(); undoA() }
	}
}
