package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
)

// tokenFile reads the bearer token that HTTP clients show, and makes one of 32 random bytes where there is no file. Only
// this account may be able to read it.
func tokenFile(path string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		var raw [32]byte
		_, err = rand.Read(raw[:])
		token := base64.RawURLEncoding.EncodeToString(raw[:])
		if err == nil {
			_, err = f.WriteString(token + "\n")
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return "", errors.Join(err, os.Remove(path))
		}
		return token, nil
	case !errors.Is(err, fs.ErrExist):
		return "", fault.Wrap(fault.Denied, err, "the token file cannot be made").At("token-file", path).Hint("name another with --token-file")
	}
	return readToken(path)
}

func readToken(path string) (string, error) {
	raw, err := policy.Self().ReadFile(path, "token file")
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return "", fault.New(fault.Denied, "others can read the token file %s (mode %04o)", path, mode).At("token-file", fmt.Sprintf("%04o", mode), "0600").
			Hint("chmod 600 %s, and delete it first if others may have read it: a new one is made", path)
	}
	token := strings.TrimSpace(string(raw))
	if len(token) < 32 || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fault.New(fault.InvalidInput, "the token file %s holds no token: one line of at least 32 letters", path).At("token-file", path).Hint("delete it: a new one is made")
	}
	return token, nil
}
