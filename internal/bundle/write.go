package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// File is one file to be bundled.
type File struct {
	Name string // slash-separated
	Size int64  // bytes
	Open func() (io.ReadCloser, error)
}

// Write bundles files, in the order of their names.
func Write(w io.Writer, files []File) error {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	out := &hashing{w: w, sum: sha256.New()}
	if err := skippable(out, fmt.Appendf(nil, "%s%d\n", title, Version)); err != nil {
		return err
	}
	// One goroutine: with several, the same bytes could be cut into other blocks.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	for i, f := range files {
		if err := mustPlain(f.Name); err != nil {
			return err
		}
		if i > 0 && files[i-1].Name == f.Name {
			return fmt.Errorf("%q is to be bundled twice", f.Name)
		}
		if err := writeFile(enc, out, f); err != nil {
			return fmt.Errorf("bundle %q: %w", f.Name, err)
		}
	}
	enc.Reset(out)
	if _, err := enc.Write(make([]byte, 2*blockSize)); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	if err := frameHeader(out, digestSize); err != nil {
		return err
	}
	_, err = w.Write(out.sum.Sum(nil))
	return err
}

// writeFile writes one frame: header, bytes, padding.
func writeFile(enc *zstd.Encoder, out io.Writer, f File) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	head, err := tarHeader(f.Name, f.Size)
	if err != nil {
		return err
	}
	enc.Reset(out)
	if _, err := enc.Write(head); err != nil {
		return err
	}
	n, err := io.Copy(enc, io.LimitReader(r, f.Size+1))
	if err != nil {
		return err
	}
	if n != f.Size {
		return fmt.Errorf("it has not the %d bytes that it should have", f.Size)
	}
	if _, err := enc.Write(make([]byte, padding(f.Size))); err != nil {
		return err
	}
	return enc.Close()
}

// tarHeader renders the fixed header of a file; long names take an extended header, which stands before it.
func tarHeader(name string, size int64) ([]byte, error) {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// padding is what fills a file's last block.
func padding(size int64) int64 { return (blockSize - size%blockSize) % blockSize }

// skippable writes a frame that decompressors pass over.
func skippable(w io.Writer, content []byte) error {
	if err := frameHeader(w, len(content)); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// frameHeader begins a skippable frame.
func frameHeader(w io.Writer, size int) error {
	head := binary.LittleEndian.AppendUint32(nil, magicOurs)
	_, err := w.Write(binary.LittleEndian.AppendUint32(head, uint32(size))) //nolint:gosec // of our own few bytes
	return err
}

// hashing hashes what is written.
type hashing struct {
	w   io.Writer
	sum hash.Hash
}

// Write implements io.Writer.
func (h *hashing) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	h.sum.Write(p[:n])
	return n, err
}
