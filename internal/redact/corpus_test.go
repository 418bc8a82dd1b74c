package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/redact"
)

// kinds draw credentials that nothing told the redactor of: it finds them by their shape or by what stands beside them.
// None of these was ever valid.
var kinds = map[string]func(r *rand.Rand) (text, secret string){
	"hf": func(r *rand.Rand) (string, string) { return alone("hf_" + drawn(r, alnum, 34)) },
	"openai": func(r *rand.Rand) (string, string) {
		return alone("sk-proj-" + drawn(r, alnum, 20) + "T3BlbkFJ" + drawn(r, alnum, 20))
	},
	"github": func(r *rand.Rand) (string, string) { return alone("ghp_" + drawn(r, alnum, 36)) },
	"gitlab": func(r *rand.Rand) (string, string) { return alone("glpat-" + drawn(r, alnum, 20)) },
	"aws id": func(r *rand.Rand) (string, string) { return alone("AKIA" + drawn(r, alnum[:36], 16)) },
	"ngc":    func(r *rand.Rand) (string, string) { return alone("nvapi-" + drawn(r, alnum, 60)) },
	"google": func(r *rand.Rand) (string, string) { return alone("AIza" + drawn(r, alnum, 35)) },
	"slack": func(r *rand.Rand) (string, string) {
		return alone("xoxb-" + drawn(r, alnum[26:36], 12) + "-" + drawn(r, alnum, 24))
	},
	"npm":       func(r *rand.Rand) (string, string) { return alone("npm_" + drawn(r, alnum, 33) + "aB3") },
	"jwt":       func(r *rand.Rand) (string, string) { return alone(jwt(r)) },
	"key block": func(r *rand.Rand) (string, string) { return alone(strings.TrimSpace(keyPEM(r))) },
	"bearer": func(r *rand.Rand) (string, string) {
		return beside("Authorization: Bearer ", drawn(r, alnum, 28)+"7x", "")
	},
	"basic": func(r *rand.Rand) (string, string) {
		return beside("Authorization: Basic ", b64("me:"+drawn(r, alnum, 14)), "")
	},
	"url": func(r *rand.Rand) (string, string) {
		return beside("https://me:", drawn(r, alnum, 14), "@mirror.example/simple")
	},
	"aws": func(r *rand.Rand) (string, string) {
		return beside("AWS_SECRET_ACCESS_KEY=", drawn(r, alnum, 39)+"7", "")
	},
	"own name": func(r *rand.Rand) (string, string) { return beside("MY_REGISTRY_TOKEN=", drawn(r, alnum, 22)+"a7", "") },
	"flag": func(r *rand.Rand) (string, string) {
		return beside("serve --api-key ", drawn(r, alnum, 16)+"a7", " --tp 2")
	},
	"setting": func(r *rand.Rand) (string, string) {
		return beside("ServerArgs(api_key='", drawn(r, alnum, 16)+"a7", "', tp=2)")
	},
	"header": func(r *rand.Rand) (string, string) { return beside("x-api-key: ", drawn(r, alnum, 16)+"a7", "") },
}

const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz"

func drawn(r *rand.Rand, from string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = from[r.IntN(len(from))]
	}
	b[n/2], b[n-1] = '7', from[len(from)-1] // letters and digits, as all of these have
	return string(b)
}

func alone(s string) (string, string) { return s, s }

func beside(before, secret, after string) (string, string) { return before + secret + after, secret }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func jwt(r *rand.Rand) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part([]byte(`{"sub":"`+drawn(r, alnum, 12)+`"}`)) + "." + drawn(r, alnum, 43)
}

func keyPEM(r *rand.Rand) string {
	raw := make([]byte, 400)
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: raw}))
}

// carriers are where such a text may stand on its way to an agent.
var carriers = map[string]func(text string) string{
	"a log line":       func(s string) string { return "[2026-01-02 03:04:05 TP0] loading with " + s + "\nnext line" },
	"a JSON string":    func(s string) string { return `{"error": {"message": ` + quoted(s) + `, "code": 500}}` },
	"JSON within JSON": func(s string) string { return `{"body": ` + quoted(`{"message": `+quoted(s)+`}`) + `}` },
	"a query":          func(s string) string { return "GET /v1/models?note=" + url.QueryEscape(s) + "&page=2 200 OK" },
	"base64":           func(s string) string { return "payload " + b64(s) + " end" },
	"inside base64":    func(s string) string { return "payload=" + b64(`{"env": "`+s+`", "n": 1}`) },
	"base64url":        func(s string) string { return "data:" + base64.RawURLEncoding.EncodeToString([]byte("k: "+s+"; z")) },
	"base64 in JSON":   func(s string) string { return `{"trace": ` + quoted("meta "+b64("a="+s)) + `}` },
	"a diff":           func(s string) string { return "@@ -1,2 +1,3 @@\n def f():\n+    note = " + quoted(s) + "\n" },
	"a Python repr":    func(s string) string { return "env: {'NOTE': '" + strings.ReplaceAll(s, "\n", `\n`) + "'}" },
}

func quoted(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

func TestACorpusOfPlantedSecrets(t *testing.T) {
	t.Parallel()
	r := redact.New(nil)
	draw := rand.New(rand.NewPCG(7, 11))
	planted, leaked := 0, 0
	for kind, make := range kinds {
		for carrier, wrap := range carriers {
			for range 2 {
				text, secret := make(draw)
				in := wrap(text)
				planted++
				got := r.String(in)
				require.Equal(t, got, inChunks(t, r, in, 1+draw.IntN(40)))
				if json.Valid([]byte(in)) {
					require.Equal(t, leaks(got, secret), leaks(string(r.JSON(json.RawMessage(in))), secret))
				}
				if where := leaks(got, secret); where != "" {
					leaked++
					t.Errorf("%s in %s: %s stands in\n%s", kind, carrier, where, got)
				}
			}
		}
	}
	t.Logf("planted %d secrets of %d kinds in %d carriers, leaked %d", planted, len(kinds), len(carriers), leaked)
	require.GreaterOrEqual(t, planted, 200)
}

// leaks looks for more than a scrap of secret in text, in any form that can be read back: "" where there is none.
func leaks(text, secret string) string {
	body := strings.ReplaceAll(strings.ReplaceAll(secret, "-----BEGIN OPENSSH PRIVATE KEY-----", ""), "-----END OPENSSH PRIVATE KEY-----", "")
	const scrap = 12
	for depth := range 3 {
		for i := 0; i+scrap <= len(body); i++ {
			if strings.Contains(text, body[i:i+scrap]) {
				return fmt.Sprintf("%q at depth %d", body[i:i+scrap], depth)
			}
		}
		text = readBack(text)
	}
	return ""
}

// readBack decodes everything in a text that a reader could.
func readBack(text string) string {
	out := text
	if s, err := url.QueryUnescape(text); err == nil {
		out += "\n" + s
	}
	out += "\n" + strings.NewReplacer(`\n`, "\n", `\"`, `"`, `\\`, `\`, `\u003c`, "<").Replace(text)
	for _, run := range strings.FieldsFunc(text, func(c rune) bool { return !strings.ContainsRune(alnum+"+/-_", c) }) {
		std := strings.NewReplacer("-", "+", "_", "/").Replace(run)
		for off := range min(4, len(std)) {
			group := std[off:]
			if raw, err := base64.RawStdEncoding.DecodeString(group[:len(group)/4*4]); err == nil {
				out += "\n" + string(raw)
			}
		}
	}
	return out
}

func inChunks(t *testing.T, r *redact.Redactor, in string, size int) string {
	t.Helper()
	var out bytes.Buffer
	w := r.Writer(&out)
	for ; in != ""; in = in[min(size, len(in)):] {
		_, err := w.Write([]byte(in[:min(size, len(in))]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.String()
}

// TestRealTextIsLeftAlone goes over what engines, profilers and people really wrote: a false alarm there would
// destroy evidence.
func TestRealTextIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := redact.New(nil)
	files, bytesRead := 0, 0
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if strings.HasPrefix(name, ".") && name != ".." || name == "bin" || name == "dist" || name == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.Contains(path, "testdata") && !strings.HasSuffix(name, ".md") || strings.Contains(path, "fuzz") || !d.Type().IsRegular() {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil || len(raw) > 256<<10 || bytes.IndexByte(raw, 0) >= 0 {
			return err
		}
		files, bytesRead = files+1, bytesRead+len(raw)
		if got := r.Bytes(raw); !bytes.Equal(got, raw) {
			at := 0
			for at < min(len(got), len(raw)) && got[at] == raw[at] {
				at++
			}
			t.Errorf("%s: false alarm at %q", path, raw[max(0, at-40):min(len(raw), at+60)])
		}
		return nil
	}))
	t.Logf("%d files, %d bytes", files, bytesRead)
	require.Greater(t, files, 100)
}
