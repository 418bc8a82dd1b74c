package worker

import (
	"context"
	"io"

	"github.com/sotaloop/sotaloop/hosts"
)

// Binary is the Linux program that hosts run, by their architecture in Go's words.
type Binary struct {
	Digest func(arch string) (string, error)
	Open   func(arch string) (io.ReadCloser, error)
}

// Install makes the program for the host's machine present below workdir and gives its path there.
func (b Binary) Install(ctx context.Context, conn hosts.Conn, workdir string) (string, error) {
	arch, err := hosts.Machine(ctx, conn)
	if err != nil {
		return "", err
	}
	digest, err := b.Digest(arch)
	if err != nil {
		return "", err
	}
	return hosts.EnsureBinary(ctx, conn, workdir, digest, func() (io.ReadCloser, error) { return b.Open(arch) })
}
