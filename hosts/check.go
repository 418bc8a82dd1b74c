package hosts

import (
	"io/fs"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// maxGPUIndex is far above what one machine holds; it catches a port or a UUID in the wrong place.
const maxGPUIndex = 1023

// maxCoreIndex is the last core that an affinity mask of golang.org/x/sys/unix can name.
const maxCoreIndex = 1023

// The checks below answer what is wrong with a value, or nothing. Each continues "<what> <value> …".

var (
	namePattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	imagePattern    = regexp.MustCompile(`^[a-z0-9][A-Za-z0-9._:/-]*@sha256:[0-9a-f]{64}$`)
	importPattern   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)
	secretPattern   = regexp.MustCompile(`(?i)(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|PRIVATE_KEY)$`)
)

func checkText(s string) string {
	if s == "" {
		return "is empty"
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "has a control character"
	}
	return ""
}

func checkName(s string) string {
	if !namePattern.MatchString(s) {
		return "is not a name: begin with a letter or digit, go on with letters, digits, '.', '_' and '-', 63 at most"
	}
	return ""
}

func checkVariable(s string) string {
	if !variablePattern.MatchString(s) {
		return "is not the name of an environment variable"
	}
	return ""
}

// checkPublicVariable keeps secrets out of a file whose values are recorded.
func checkPublicVariable(s string) string {
	if wrong := checkVariable(s); wrong != "" {
		return wrong
	}
	if secretPattern.MatchString(s) {
		return "looks like a secret, and values in env are recorded: list its name under secrets instead"
	}
	return ""
}

// checkPath is for folders on a host (and checkouts here): never relative to wherever something happens to run.
func checkPath(s string) string {
	if wrong := checkText(s); wrong != "" {
		return wrong
	}
	if !isRooted(s) {
		return `is not a path: begin with "/" or "~/"`
	}
	return ""
}

// isRooted says that a path on a host does not depend on a working folder.
func isRooted(s string) bool {
	return strings.HasPrefix(s, "/") || s == "~" || strings.HasPrefix(s, "~/")
}

// checkPublicKey takes one public key as OpenSSH writes it, without a comment.
func checkPublicKey(s string) string {
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(s))
	if err != nil || comment != "" || len(options) > 0 || len(rest) > 0 || strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) != s {
		return "is not a public key: write its type and its base64, as in the .pub file, without options and comment"
	}
	return ""
}

func checkInside(s string) string {
	if wrong := checkText(s); wrong != "" {
		return wrong
	}
	if !fs.ValidPath(s) || strings.Contains(s, `\`) {
		return `is not a folder inside the checkout: write it relative, with "/", without ".."`
	}
	return ""
}

func checkImport(s string) string {
	if !importPattern.MatchString(s) {
		return "is not the name of a Python package"
	}
	return ""
}

func checkImage(s string) string {
	if !imagePattern.MatchString(s) {
		return "is not pinned: write NAME@sha256:DIGEST (docker inspect --format '{{index .RepoDigests 0}}' NAME)"
	}
	return ""
}

func checkDestination(s string) string {
	if _, err := parseHop(s); err != nil {
		return err.Error()
	}
	return ""
}

// engineTypes are the frameworks' canonical names.
func engineTypes() []string { return []string{"sglang", "vllm", "tensorrt_llm", "tokenspeed"} }
