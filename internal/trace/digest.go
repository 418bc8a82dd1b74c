package trace

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
)

// digestLen is how many hex digits of a file's SHA-256 row ids carry.
const digestLen = 16

// DigestPrefix gives the first 16 hex digits of the SHA-256 of a file, as row ids carry it.
func DigestPrefix(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil))[:digestLen], nil
}
