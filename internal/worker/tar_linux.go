package worker

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// maxTarBytes and maxTarFiles are far above any package's sources; they bound an archive that lies about itself.
const (
	maxTarBytes = 2 << 30
	maxTarFiles = 200_000
)

// layTar lays the regular files below packageRoot of an archive over the folder to. Everything outside packageRoot is
// skipped; inside it only files and folders with plain names are taken. A file that is there is unlinked first, since
// it shares its bytes with the installed package.
func layTar(archive, packageRoot, to string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	root := strings.Trim(path.Clean("/"+packageRoot), "/")
	left := int64(maxTarBytes)
	r := tar.NewReader(f)
	laid := 0
	for n := 0; ; n++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			if laid == 0 {
				return overlayFault("the overlay's archive holds no file below %q", packageRoot)
			}
			return nil
		}
		if err != nil {
			return overlayFault("the overlay's archive cannot be read: %v", err)
		}
		if n > maxTarFiles || h.Size > left {
			return overlayFault("the overlay's archive is too large: over %d files or %d bytes", maxTarFiles, int64(maxTarBytes))
		}
		left -= h.Size
		rel, err := insideRoot(h, root)
		if err != nil {
			return err
		}
		if rel == "" {
			continue
		}
		if err := layFile(r, filepath.Join(to, filepath.FromSlash(rel)), h.FileInfo().Mode()); err != nil {
			return err
		}
		laid++
	}
}

// insideRoot gives the name of a regular file relative to root, "" for what is to be skipped.
func insideRoot(h *tar.Header, root string) (string, error) {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return "", nil
	}
	name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
	if name == "" {
		return "", nil
	}
	if !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return "", overlayFault("the overlay's archive names %q, which is not a plain path", h.Name)
	}
	rel, inside := strings.CutPrefix(name, root+"/")
	if root == "" {
		rel, inside = name, true
	}
	switch {
	case !inside || h.Typeflag == tar.TypeDir:
		return "", nil
	case h.Typeflag != tar.TypeReg:
		return "", overlayFault("the overlay's archive holds %q, which is a link or device", h.Name)
	case rel == proofScript:
		return "", overlayFault("the overlay's archive holds %q", h.Name)
	}
	return rel, nil
}

func layFile(r io.Reader, dst string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
		return err
	}
	if err := os.Remove(dst); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600|mode.Perm()&0o111)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}
