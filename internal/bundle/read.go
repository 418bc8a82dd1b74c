package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Bundle is an opened bundle. Its files are read through FS's methods; several may be read at once.
type Bundle struct {
	file   *os.File
	digest string
	size   int64
	frames map[string]member
	names  []string // sorted, as they stand
}

// member is one file and where its frame lies.
type member struct {
	extent
	size int64 // unpacked
	skip int64 // of tar headers before its bytes
}

// Is says whether the file at path begins as a bundle does.
func Is(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, headerSize+len(title))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head[headerSize:]) == title && binary.LittleEndian.Uint32(head) == magicOurs
}

// Open checks the whole bundle at path: its digest, then frame by frame names, kinds, sizes and ratios.
func Open(path string) (*Bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "the bundle cannot be read").At("path", path)
	}
	b := &Bundle{file: f, frames: map[string]member{}}
	if err := b.index(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return b, nil
}

// Digest is the hex SHA-256 in which the bundle ends.
func (b *Bundle) Digest() string { return b.digest }

// Size is the bundle's, in bytes.
func (b *Bundle) Size() int64 { return b.size }

// Close ends the bundle; what was opened from it cannot be read any longer.
func (b *Bundle) Close() error { return b.file.Close() }

// index reads the bundle once.
func (b *Bundle) index() error {
	info, err := b.file.Stat()
	if err != nil {
		return err
	}
	if b.size = info.Size(); !info.Mode().IsRegular() || b.size < headerSize+int64(len(title))+trailerSize {
		return corrupt("is no plain file, or too short for one")
	}
	at, err := b.version()
	if err != nil {
		return err
	}
	if err := b.checkDigest(); err != nil {
		return err
	}
	total, end := int64(0), b.size-trailerSize
	for at < end {
		e, err := frameAt(b.file, at, end)
		if err != nil {
			return corrupt("cannot be read at byte %d: %v", at, err)
		}
		at = e.at + e.size
		if at == end {
			return b.lastFrame(e)
		}
		m, name, err := b.member(e)
		if err != nil {
			return err
		}
		if total += m.size; total > maxTotal || len(b.names) >= maxFiles {
			return corrupt("unpacks to more than %d files or %d GiB", maxFiles, maxTotal>>30)
		}
		b.frames[name], b.names = m, append(b.names, name)
	}
	return corrupt("has no end")
}

// version reads the first frame and gives where the second begins. It stands before the digest's check, so that a
// newer bundle is refused as newer and not as damaged.
func (b *Bundle) version() (int64, error) {
	head := make([]byte, 64)
	n, err := b.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	head = head[:n]
	size := int64(binary.LittleEndian.Uint32(head[4:]))
	if binary.LittleEndian.Uint32(head) != magicOurs || size < int64(len(title)) || size > int64(n)-headerSize || !bytes.HasPrefix(head[headerSize:], []byte(title)) {
		return 0, corrupt("does not begin as one: it is another file, or its first bytes were changed")
	}
	text := strings.TrimSuffix(string(head[headerSize+len(title):headerSize+size]), "\n")
	v, err := strconv.Atoi(text)
	switch {
	case err != nil || v < 1 || strconv.Itoa(v)+"\n" != string(head[headerSize+len(title):headerSize+size]):
		return 0, corrupt("has version %q", text)
	case v > Version:
		return 0, fault.New(fault.InvalidInput, "the bundle has version %d of its format, this release knows up to %d", v, Version).
			At("version", text, fmt.Sprintf("up to %d", Version)).Hint("verify it with the release that wrote it, or a newer one")
	}
	return headerSize + size, nil
}

// checkDigest compares the last bytes with what stands before them.
func (b *Bundle) checkDigest() error {
	var trailer [trailerSize]byte
	if _, err := b.file.ReadAt(trailer[:], b.size-trailerSize); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(trailer[:]) != magicOurs || binary.LittleEndian.Uint32(trailer[4:]) != digestSize {
		return corrupt("does not end in its digest: it was cut, or something was added behind it")
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(b.file, 0, b.size-digestSize)); err != nil {
		return err
	}
	if got := sum.Sum(nil); !bytes.Equal(got, trailer[headerSize:]) {
		return corrupt("was changed: its bytes hash to %x, it ends in %x", got, trailer[headerSize:])
	}
	b.digest = fmt.Sprintf("%x", trailer[headerSize:])
	return nil
}

// member reads one file's frame to its end.
func (b *Bundle) member(e extent) (member, string, error) {
	r, err := unpack(b.file, e)
	if err != nil {
		return member{}, "", corrupt("cannot be unpacked at byte %d: %v", e.at, err)
	}
	defer r.Close()
	in := &counting{r: r, most: limit(e.size)}
	t := tar.NewReader(in)
	h, err := t.Next()
	if err != nil {
		return member{}, "", corrupt("holds no file at byte %d: %v", e.at, in.or(err))
	}
	if err := b.checkHeader(h); err != nil {
		return member{}, "", err
	}
	m := member{extent: e, size: h.Size, skip: in.n}
	if _, err := io.Copy(io.Discard, t); err != nil {
		return m, "", corrupt("cannot be unpacked at %q: %v", h.Name, in.or(err))
	}
	pad, err := io.ReadAll(io.LimitReader(in, blockSize+1))
	if err != nil || int64(len(pad)) != padding(h.Size) || len(bytes.Trim(pad, "\x00")) > 0 {
		return m, "", corrupt("holds more than one file, or other bytes, in the frame of %q", h.Name)
	}
	return m, h.Name, nil
}

// checkHeader refuses what is not a plain file as Write makes them.
func (b *Bundle) checkHeader(h *tar.Header) error {
	switch err := checkName(h.Name); {
	case err != nil:
		return err
	case h.Typeflag != tar.TypeReg || h.Linkname != "" || h.Size < 0:
		return corrupt("holds %q, which is no plain file", h.Name)
	case h.Size > maxFile:
		return corrupt("holds %q of %d bytes, at most %d are read", h.Name, h.Size, int64(maxFile))
	case len(b.names) > 0 && h.Name == b.names[len(b.names)-1]:
		return corrupt("holds %q twice", h.Name)
	case len(b.names) > 0 && h.Name < b.names[len(b.names)-1]:
		if _, twice := b.frames[h.Name]; twice {
			return corrupt("holds %q twice", h.Name)
		}
		return corrupt("holds %q behind %q: its files are not in order", h.Name, b.names[len(b.names)-1])
	}
	for dir := path.Dir(h.Name); dir != "."; dir = path.Dir(dir) {
		if _, file := b.frames[dir]; file {
			return corrupt("holds %q as a file and as a folder", dir)
		}
	}
	for key := range h.PAXRecords {
		if key != "path" {
			return corrupt("holds %q with the attribute %q, which no bundle has", h.Name, key)
		}
	}
	if h.Mode != 0o644 || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || h.ModTime.Unix() != 0 || h.Devmajor != 0 || h.Devminor != 0 {
		return corrupt("holds %q with an owner, a mode or a time, which no bundle has", h.Name)
	}
	return nil
}

// lastFrame checks the end of the archive.
func (b *Bundle) lastFrame(e extent) error {
	r, err := unpack(b.file, e)
	if err != nil {
		return corrupt("cannot be unpacked at byte %d: %v", e.at, err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, 2*blockSize+1))
	if err != nil || !bytes.Equal(raw, make([]byte, 2*blockSize)) {
		return corrupt("does not end as an archive does")
	}
	return nil
}

// limit is what a frame of packed bytes may unpack to.
func limit(packed int64) int64 { return max(freeRatio, packed*maxRatio) }

var errBomb = errors.New("it unpacks to more than a file of its size can")

// counting counts what is read and stops a frame that unpacks to too much.
type counting struct {
	r       io.Reader
	n, most int64
	bomb    bool
}

// Read implements io.Reader.
func (c *counting) Read(p []byte) (int, error) {
	if c.bomb = c.bomb || c.n > c.most; c.bomb {
		return 0, errBomb
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// or gives the bomb's error where that is what happened.
func (c *counting) or(err error) error {
	if c.bomb {
		return errBomb
	}
	return err
}
