package hosts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// The exit codes by which our file scripts tell what is wrong; cat, mv and their kin use 1.
const (
	exitMissing    = 44
	exitNotRegular = 45
	exitUnreadable = 46
)

// resolveScript sets $p to the path $1 and begins every file script.
const resolveScript = `case "$1" in '~') p=$HOME ;; '~/'*) p=$HOME/${1#??} ;; *) p=$1 ;; esac
`

// receiveScript writes its input to a new file $2 beside $1, on disk when it ends, and tells how many bytes it got. It
// cannot know whether that is all: putting the file in place is another session's work.
const receiveScript = resolveScript + `[ ! -d "$p" ] || exit 45
folder=${p%/*}/
mkdir -p "$folder" && umask 077 && cat >"$folder$2" && { sync "$folder$2" 2>/dev/null || sync; } && wc -c <"$folder$2"`

// placeScript gives the new file $2 the mode $3 and the name $1.
const placeScript = resolveScript + `[ ! -d "$p" ] || exit 45
folder=${p%/*}/
chmod "$3" "$folder$2" && mv -f "$folder$2" "$p" && { sync "$folder" 2>/dev/null || sync; }`

// discardScript removes the new file $2 beside $1.
const discardScript = resolveScript + `rm -f "${p%/*}/$2"`

// sendScript writes the file $1 to its output.
const sendScript = resolveScript + `[ -e "$p" ] || exit 44
[ -f "$p" ] || exit 45
[ -r "$p" ] || exit 46
exec cat "$p"`

// script makes a command of a file script.
func script(text string, args ...string) Cmd {
	return Cmd{Argv: append([]string{"/bin/sh", "-c", text, "sh"}, args...)}
}

// Upload implements [Conn].
func (s *SSH) Upload(ctx context.Context, r io.Reader, dst string, mode fs.FileMode) error {
	if err := validateDestination(dst); err != nil {
		return err
	}
	part := ".sotaloop-" + rand.Text() + ".part"
	err := s.upload(ctx, r, dst, part, mode)
	if err == nil {
		return nil
	}
	if !errors.Is(err, ErrClosed) && fault.CodeOf(err) != fault.HostUnreachable {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceAfterKill)
		defer cancel()
		if _, cleanup := s.Run(ctx, script(discardScript, dst, part)); cleanup != nil {
			s.log.Warn("part of an upload is left", "file", part, "beside", dst, "error", cleanup)
		}
	}
	return err
}

func (s *SSH) upload(ctx context.Context, r io.Reader, dst, part string, mode fs.FileMode) error {
	source := &countingReader{from: r}
	receive := script(receiveScript, dst, part)
	receive.Stdin = source
	res, err := s.Run(ctx, receive)
	count, complete, readErr := source.end()
	switch {
	case err != nil:
		return err
	case readErr != nil:
		return fmt.Errorf("read what to upload: %w", readErr)
	case !res.IsSuccess():
		return uploadFault(s.name, dst, res)
	}
	if got := strings.TrimSpace(string(res.Stdout)); !complete || got != strconv.FormatInt(count, 10) {
		return fault.New(fault.HostUnreachable, "host %q: %s of %d bytes arrived for %q", s.name, fault.Foreign(got, 20), count, dst)
	}
	res, err = s.Run(ctx, script(placeScript, dst, part, strconv.FormatUint(uint64(mode.Perm()), 8)))
	if err == nil && !res.IsSuccess() {
		err = uploadFault(s.name, dst, res)
	}
	return err
}

// uploadFault says why a host did not take a file.
func uploadFault(host, dst string, res Result) error {
	if res.ExitCode == exitNotRegular {
		return notRegular(host, dst)
	}
	return fault.New(fault.Denied, "host %q: cannot write %q: %s", host, dst, fault.Foreign(string(res.Stderr), maxExcerpt)).At("dst", dst).
		Hint("check the folder's permissions and the space left on the host")
}

// Download implements [Conn].
func (s *SSH) Download(ctx context.Context, path string, w io.Writer) error {
	if err := validatePath("path", path); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out, stderr := &forward{to: w, cancel: cancel}, &capture{max: maxExcerpt}
	c, mark := script(sendScript, path), newMark()
	res, err := s.exec(ctx, execution{c, mark, runArgv(mark, c), out, stderr})
	if writeErr := out.close(); writeErr != nil {
		return fmt.Errorf("write what was downloaded: %w", writeErr)
	}
	switch {
	case err != nil:
		return err
	case res.IsSuccess():
		return nil
	case res.ExitCode == exitMissing:
		return missingFile(s.name, path)
	case res.ExitCode == exitNotRegular:
		return notRegular(s.name, path)
	}
	text, _ := stderr.bytes()
	return unreadable(s.name, path, fault.Foreign(string(text), maxExcerpt))
}

// validateDestination refuses what names no file.
func validateDestination(dst string) error {
	if err := validatePath("dst", dst); err != nil {
		return err
	}
	if dst == "~" || strings.HasSuffix(dst, "/") {
		return fault.New(fault.InvalidInput, "dst %q names a folder", dst).At("dst", dst).Hint("add the name of the file")
	}
	return nil
}

func missingFile(host, path string) error {
	return fault.Wrap(fault.NotFound, fs.ErrNotExist, "host %q: no file %q", host, path).At("path", path)
}

func notRegular(host, path string) error {
	return fault.New(fault.InvalidInput, "host %q: %q is not a regular file", host, path).At("path", path)
}

func unreadable(host, path, why string) error {
	return fault.New(fault.Denied, "host %q: cannot read %q: %s", host, path, why).At("path", path).
		Hint("check the file's permissions on the host")
}
