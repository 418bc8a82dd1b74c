package worker

import (
	"compress/gzip"
	"io"
	"strings"
)

// unpacked gives what a trace file holds: as it is, or out of gzip where its name says so.
func unpacked(f io.Reader, name string) (io.Reader, error) {
	if !strings.HasSuffix(name, ".gz") {
		return f, nil
	}
	return gzip.NewReader(f)
}

// drainGzip reads a gzip stream to its end; the reader checks the trailer's checksum and length.
func drainGzip(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, z)
	return err
}
