package hosts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// binaryMode lets other accounts run the worker and nobody but its owner change it.
const binaryMode = 0o755

// digestPattern is a SHA-256 in hex.
var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// digestScript tells the absolute folder $1, which it makes, and the SHA-256 of the file $2 in it.
const digestScript = resolveScript + `mkdir -p "$p" && cd "$p" && pwd -P || exit 1
[ -f "$2" ] && [ -x "$2" ] || { echo missing; exit 0; }
if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$2"; else shasum -a 256 <"$2"; fi`

// EnsureBinary makes the program with the given SHA-256 (64 hex digits) present on the host as
// workdir/bin/sotaloop-<first 16 digits>, executable, and gives its absolute path. What lies there is hashed on the
// host; open is called, and the program uploaded, only where the digest differs. Bytes with another digest than
// promised are never put in place.
func EnsureBinary(ctx context.Context, conn Conn, workdir, digest string, open func() (io.ReadCloser, error)) (remotePath string, err error) {
	if err := validatePath("workdir", workdir); err != nil {
		return "", err
	}
	if !digestPattern.MatchString(digest) {
		return "", fault.New(fault.InvalidInput, "digest %q is not a SHA-256 in hex", digest).At("digest", digest)
	}
	folder, name := strings.TrimRight(workdir, "/")+"/bin", "sotaloop-"+digest[:16]
	path, found, err := remoteDigest(ctx, conn, folder, name)
	if err != nil || found == digest {
		return path, err
	}
	if err := uploadBinary(ctx, conn, path, digest, open); err != nil {
		return "", err
	}
	path, found, err = remoteDigest(ctx, conn, folder, name)
	if err != nil {
		return "", err
	}
	if found != digest {
		return "", fault.New(fault.Corrupt, "%q on the host has the digest %s after its upload, not %s", path, found, digest).
			Hint("check the host's disk, and who else writes there")
	}
	return path, nil
}

// remoteDigest gives the absolute path of a file in a folder and its digest, "missing" where there is none.
func remoteDigest(ctx context.Context, conn Conn, folder, name string) (path, digest string, err error) {
	res, err := conn.Run(ctx, script(digestScript, folder, name))
	if err != nil {
		return "", "", err
	}
	lines := strings.Split(strings.TrimSuffix(string(res.Stdout), "\n"), "\n")
	if !res.IsSuccess() || len(lines) != 2 || !isRooted(lines[0]) {
		return "", "", fault.New(fault.Denied, "cannot use the folder %q on the host: %s", folder, fault.Foreign(string(res.Stderr), maxExcerpt)).
			At("workdir", folder).Hint("set workdir in the host's entry to a folder that the account may write")
	}
	digest, _, _ = strings.Cut(lines[1], " ")
	return lines[0] + "/" + name, digest, nil
}

// uploadBinary sends the program and makes sure on the way that it is the one promised.
func uploadBinary(ctx context.Context, conn Conn, path, digest string, open func() (io.ReadCloser, error)) error {
	program, err := open()
	if err != nil {
		return fmt.Errorf("open the program: %w", err)
	}
	err = conn.Upload(ctx, &verifiedReader{from: program, want: digest, hash: sha256.New()}, path, binaryMode)
	return errors.Join(err, program.Close())
}

// verifiedReader fails at the end of bytes that have another digest than promised.
type verifiedReader struct {
	from io.Reader
	want string
	hash hash.Hash
}

// Read implements io.Reader.
func (v *verifiedReader) Read(p []byte) (int, error) {
	n, err := v.from.Read(p)
	v.hash.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.want {
			return n, fault.New(fault.Corrupt, "program has the digest %s, not %s", got, v.want).At("digest", got)
		}
	}
	return n, err
}
