package redact

import (
	"bytes"
	"math"
	"regexp"
	"strings"
	"sync"
)

// Pattern finds secrets of one kind.
type Pattern struct {
	// Label is the kind, as it stands in the replacement.
	Label string
	// Expr matches the secret. Where it has a group named "secret", only that group is replaced.
	Expr *regexp.Regexp
	// Anchors are substrings of which every match has one; they save running Expr. Empty: it always runs.
	Anchors []string
	// Plausible, where set, has the last word on a match, so that names and words of the same shape are let be.
	Plausible func(secret []byte) bool
}

// known are variables whose values are secret wherever they stand beside their name.
const known = `HF_TOKEN|HUGGING_?FACE_(?:HUB_)?TOKEN|OPENAI_API_KEY|ANTHROPIC_API_KEY|GITHUB_TOKEN|GH_TOKEN|GITLAB_TOKEN|` +
	`AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|NGC_API_KEY|NGC_CLI_API_KEY|NVIDIA_API_KEY|WANDB_API_KEY|MODELSCOPE_API_TOKEN|` +
	`AZURE_OPENAI_API_KEY|GOOGLE_API_KEY|COHERE_API_KEY|MISTRAL_API_KEY|REPLICATE_API_TOKEN|DOCKER_PASSWORD|NPM_TOKEN|SLACK_TOKEN`

// keyBlock matches a private key with its armour, also one whose end was cut off, also with escaped line ends. Its body has
// no two dashes in a row, so that many beginnings do not look for their end in each other.
const keyBlock = `-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----` +
	`(?:(?:[A-Za-z0-9+/=\s\\:,.()]|-[A-Za-z0-9])*?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\]*)`

// argument matches the value of a flag or of a setting that engines print with their arguments, as --api-key V,
// "'--hf-token', 'V'", api_key='V' and {"admin_api_key": ["V"]}.
const argument = `(?:--(?:[a-z]+-)*(?:api-key|hf-token|auth-token|access-token|secret|password)|\b(?:[a-z]+_)*(?:api_key|hf_token|auth_token|access_token|client_secret|password))` +
	`["']?(?:[ \t]*[=:,][ \t]*|[ \t]+)(?:\[[ \t]*)?\\?["']?(?P<secret>[^\s"'\\$\[\](){},;&|<>=]{8,})`

// builtin gives the patterns that every Redactor has. They are compiled once, when first needed: a start should not
// wait for them.
var builtin = sync.OnceValue(func() []Pattern {
	list := []Pattern{
		{Label: "private_key", Expr: regexp.MustCompile(keyBlock), Anchors: []string{"PRIVATE KEY"}},
		{Label: "hf_token", Expr: regexp.MustCompile(`\b(?:hf_|api_org_)[A-Za-z0-9]{30,}`), Anchors: []string{"hf_", "api_org_"}, Plausible: isRandom},
		{Label: "openai_key", Expr: regexp.MustCompile(`\bsk-[A-Za-z0-9_-]{20,}`), Anchors: []string{"sk-"}, Plausible: isRandom},
		{Label: "github_token", Expr: regexp.MustCompile(`\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{22,}`), Anchors: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}},
		{Label: "gitlab_token", Expr: regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{20,}`), Anchors: []string{"glpat-"}},
		{Label: "aws_access_key", Expr: regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`), Anchors: []string{"AKIA", "ASIA"}},
		{Label: "nvidia_key", Expr: regexp.MustCompile(`\bnvapi-[A-Za-z0-9_-]{20,}`), Anchors: []string{"nvapi-"}},
		{Label: "google_key", Expr: regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{35}`), Anchors: []string{"AIza"}},
		{Label: "slack_token", Expr: regexp.MustCompile(`\bxox[abeprs]-[A-Za-z0-9-]{10,}`), Anchors: []string{"xox"}},
		{Label: "npm_token", Expr: regexp.MustCompile(`\bnpm_[A-Za-z0-9]{36}\b`), Anchors: []string{"npm_"}, Plausible: isRandom},
		{Label: "jwt", Expr: regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`), Anchors: []string{"eyJ"}},
		{Label: "bearer", Expr: regexp.MustCompile(`(?i)\bbearer[ \t]+(?P<secret>[a-z0-9._~+/=-]{16,})`), Anchors: []string{"earer", "EARER"}, Plausible: hasDigit},
		{Label: "basic_auth", Expr: regexp.MustCompile(`(?i)\bauthorization["']?[ \t]*[:=][ \t]*["']?basic[ \t]+(?P<secret>[a-z0-9+/_=-]{8,})`), Anchors: []string{"asic", "ASIC"}},
		{Label: "url_credentials", Expr: regexp.MustCompile(`\b[A-Za-z][A-Za-z0-9+.-]*://(?P<secret>[^\s/:@"'<>\[\]\\]*:[^\s/@"'<>\[\]\\]+)@`), Anchors: []string{"://"}},
		{Label: "api_key", Expr: regexp.MustCompile(`(?i)\bx-api-key["']?[ \t]*[:=][ \t]*["']?(?P<secret>[a-z0-9._~+/=-]{8,})`), Anchors: []string{"pi-key", "pi-Key", "PI-KEY"}, Plausible: hasDigit},
		{Label: "api_key", Expr: regexp.MustCompile(argument), Anchors: []string{"key", "token", "password", "secret"}, Plausible: hasDigit},
		{Label: "secret_value", Expr: regexp.MustCompile(`\b[A-Z][A-Z0-9_]*(?:_API_KEY|_ACCESS_KEY|_SECRET_KEY|_AUTH_TOKEN|_TOKEN|_SECRET|_PASSWORD|_PASSWD)\\?["']?[ \t]*[=:][ \t]*\\?["']?(?P<secret>[^\s"'\\$\[\](){},;&|<>]{12,})`),
			Anchors: []string{"_KEY", "_TOKEN", "_SECRET", "_PASSW"}, Plausible: isDrawn},
		{Label: "secret_value", Expr: regexp.MustCompile(`\b(?:` + known + `)\\?["']?[ \t]*[=:][ \t]*\\?["']?(?P<secret>[^\s"'\\$\[\](){},;&|<>]{8,})`), Anchors: []string{"TOKEN", "KEY", "PASSWORD"}, Plausible: hasDigit},
	}
	return list[:len(list):len(list)]
})

// scan appends the places in b where p finds a secret.
func (p Pattern) scan(b []byte, found []span) []span {
	if !p.maybe(b) {
		return found
	}
	group := max(p.Expr.SubexpIndex("secret"), 0)
	for _, m := range p.Expr.FindAllSubmatchIndex(b, -1) {
		start, end := m[2*group], m[2*group+1]
		if start < 0 || p.Plausible != nil && !p.Plausible(b[start:end]) {
			continue
		}
		found = append(found, span{start, end, p.Label})
	}
	return found
}

// maybe says whether b holds an anchor.
func (p Pattern) maybe(b []byte) bool {
	for _, a := range p.Anchors {
		if bytes.Contains(b, []byte(a)) {
			return true
		}
	}
	return len(p.Anchors) == 0
}

// hasDigit says whether b has both a digit and a letter, as words and numbers have not.
func hasDigit(b []byte) bool {
	return bytes.ContainsAny(b, "0123456789") && bytes.ContainsFunc(b, func(r rune) bool { return r|0x20 >= 'a' && r|0x20 <= 'z' })
}

// isDrawn says whether b looks drawn at random rather than named: letters and digits, no path, and at least three bits a
// character by its own frequencies (Shannon).
func isDrawn(b []byte) bool {
	if !hasDigit(b) || b[0] == '/' || b[0] == '.' {
		return false
	}
	var counts [256]int
	for _, c := range b {
		counts[c]++
	}
	bits := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(b))
			bits -= p * math.Log2(p)
		}
	}
	return bits >= 3
}

// isRandom says whether b behind its prefix looks drawn at random: it has a digit and a letter, and a capital where it
// has separators, since "sk-learn-v1-estimators" is a name.
func isRandom(b []byte) bool {
	if i := bytes.IndexAny(b, "-_"); i >= 0 && i < 5 {
		b = b[i+1:]
	}
	return hasDigit(b) && (!bytes.ContainsAny(b, "-_") || bytes.ContainsFunc(b, func(r rune) bool { return r >= 'A' && r <= 'Z' }))
}

// knownName matches the name of a variable whose value is secret.
var knownName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:` + known + `|[A-Z0-9_]*(?:_API_KEY|_ACCESS_KEY|_TOKEN|_SECRET|_PASSWORD|_PASSWD|_CREDENTIALS))$`)
})

// Secrets picks from "NAME=value" pairs those whose name says that the value is secret, for New.
func Secrets(environ []string) map[string]string {
	out := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if knownName().MatchString(name) && !strings.HasPrefix(value, "/") {
			out[name] = value
		}
	}
	return out
}
