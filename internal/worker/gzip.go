package worker

import (
	"compress/gzip"
	"io"
)

// drainGzip reads a gzip stream to its end; the reader checks the trailer's checksum and length.
func drainGzip(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, z)
	return err
}
