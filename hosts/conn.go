package hosts

import (
	"context"
	"io"
	"io/fs"
)

// Conn is one host, reached. It is safe for concurrent use. A transport that lost its connection makes a new
// one for the next call; it never repeats a call that may have begun.
//
// Faults: [fault.InvalidInput] for a Cmd or path that no transport accepts, [fault.NotFound] for a program,
// folder or file that is not there, [fault.HostUnreachable] where the connection failed or broke,
// [fault.HostKey] where the host could not prove who it is, [fault.Canceled] and [fault.Timeout] where ctx ended.
type Conn interface {
	// Run runs c and returns when it has exited and its output has ended. The error is about running and
	// observing only; how the command ended is in the Result. When ctx ends first, the command's process group
	// is killed on the host before Run returns, and the error says if that could not be confirmed; the Result
	// then holds the output so far.
	Run(ctx context.Context, c Cmd) (Result, error)

	// Start starts c detached and returns its process id on the host: a session of its own, all three standard
	// streams on /dev/null and no other descriptor. It survives this connection and this process. ctx bounds
	// the starting only. Cmd.Stdin and Cmd.MaxOutput must be unset.
	Start(ctx context.Context, c Cmd) (pid int, err error)

	// Upload writes all of r to dst on the host with the permission bits of mode, making missing parent folders.
	// dst changes by one rename after the bytes are on disk: a reader sees the old file or the new one, and a
	// failure, r's own included, leaves the old one.
	Upload(ctx context.Context, r io.Reader, dst string, mode fs.FileMode) error

	// Download copies the regular file at path on the host into w. A missing file is a [fault.NotFound] that
	// wraps [fs.ErrNotExist]. After an error w may hold a part of the file.
	Download(ctx context.Context, path string, w io.Writer) error

	// Close ends the connection and what Run runs over it. Processes begun with Start go on. Later calls fail
	// with [ErrClosed]; closing twice is no error.
	Close() error
}
