package redact_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/redact"
)

// planted are secrets as a user's environment holds them; none of these was ever valid.
func planted() map[string]string {
	return map[string]string{
		"HF_TOKEN":              "hf_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z",
		"OPENAI_API_KEY":        "sk-proj-" + "q1W2e3R4t5Y6u7I8o9P0a1S2d3F4g5H6j7K8l9Z0",
		"GITHUB_TOKEN":          "ghp_" + "0123456789abcdefABCDEF0123456789abcd",
		"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzz9KEYacce",
		"NGC_API_KEY":           "nvapi-" + "Q7w8E9r0T1y2U3i4O5p6A7s8D9f0G1h2J3k4L5z6X7c8V9b0N1m2",
		"PASSPHRASE":            "a <b> & \"c\"\nü/d+e",
	}
}

func forms(v string) map[string]string {
	quoted, _ := json.Marshal(v)
	return map[string]string{
		"plain":          v,
		"base64":         base64.StdEncoding.EncodeToString([]byte(v)),
		"base64url":      base64.RawURLEncoding.EncodeToString([]byte(v)),
		"percent":        url.QueryEscape(v),
		"percent path":   url.PathEscape(v),
		"percent lower":  regexp.MustCompile(`%..`).ReplaceAllStringFunc(url.QueryEscape(v), strings.ToLower),
		"JSON":           strings.Trim(string(quoted), `"`),
		"JSON, slash":    strings.ReplaceAll(strings.Trim(string(quoted), `"`), "/", `\/`),
		"inside base64":  base64.StdEncoding.EncodeToString([]byte("x" + v + "yz")),
		"inside base64 ": base64.StdEncoding.EncodeToString([]byte(`{"token": "` + v + `"}`)),
	}
}

func TestKnownValuesGoInEveryForm(t *testing.T) {
	t.Parallel()
	r := redact.New(planted())
	for name, v := range planted() {
		for form, text := range forms(v) {
			in := "before " + text + " after"
			got := r.String(in)
			require.Containsf(t, got, "[redacted:", "%s as %s: %s", name, form, got)
			if !strings.Contains(form, "base64") {
				require.Equalf(t, "before [redacted:"+strings.ToLower(name)+"] after", got, "%s as %s", name, form)
			}
			for again, f := range forms(v) {
				if len(f) > 12 && !strings.HasPrefix(again, "inside") {
					require.NotContainsf(t, got, strings.TrimRight(f, "="), "%s as %s", name, form)
				}
			}
			require.Equal(t, got, r.String(got), "twice changes nothing")
			require.Equal(t, got, string(r.Bytes([]byte(in))))
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	r := redact.New(nil, redact.Pattern{Label: "mine", Expr: regexp.MustCompile(`mine:\d+`)})
	for in, want := range map[string]string{
		"token hf_" + strings.Repeat("aB3", 12) + ".":                                                "token [redacted:hf_token].",
		"sk-" + strings.Repeat("aB3", 12):                                                            "[redacted:openai_key]",
		"key=sk-" + "0123456789abcdef0123456789abcdef":                                               "key=[redacted:openai_key]",
		"sk-ant-api03-" + strings.Repeat("xY9_", 20):                                                 "[redacted:openai_key]",
		"(gho_" + strings.Repeat("aB3", 12) + ")":                                                    "([redacted:github_token])",
		"github_pat_" + strings.Repeat("aB3", 10) + "_" + strings.Repeat("aB3", 10):                  "[redacted:github_token]",
		"AKIA" + "IOSFODNN7EXAMPLE":                                                                  "[redacted:aws_access_key]",
		`AWS_SECRET_ACCESS_KEY="wJalrXUtnFEMI/K7MDENG/bPxRfiCY9"`:                                    `AWS_SECRET_ACCESS_KEY="[redacted:secret_value]"`,
		"export HF_TOKEN=s3cretvalue":                                                                "export HF_TOKEN=[redacted:secret_value]",
		`{\"HF_TOKEN\": \"s3cretvalue\"}`:                                                            `{\"HF_TOKEN\": \"[redacted:secret_value]\"}`,
		"nvapi-" + strings.Repeat("aB3", 12):                                                         "[redacted:nvidia_key]",
		"Authorization: Bearer 0f3c9a77aa7e4d2b9c51":                                                 "Authorization: Bearer [redacted:bearer]",
		`"authorization": "Basic dXNlcjpwYXNz"`:                                                      `"authorization": "Basic [redacted:basic_auth]"`,
		"GET https://me:pa55@host/x?y=a@b":                                                           "GET https://[redacted:url_credentials]@host/x?y=a@b",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6y":          "[redacted:jwt]",
		"a -----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\nNzaC1r\n-----END OPENSSH PRIVATE KEY----- b": "a [redacted:private_key] b",
		`-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIEpA\n-----END RSA PRIVATE KEY-----`: "[redacted:private_key]",
		"-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKC": "[redacted:private_key]",
		"mine:42":                          "[redacted:mine]",
		"a [redacted:hf_token] b":          "a [redacted:hf_token] b",
		"HF_TOKEN=[redacted:secret_value]": "HF_TOKEN=[redacted:secret_value]",
	} {
		got := r.String(in)
		require.Equal(t, want, got)
		require.Equal(t, want, r.String(got), "twice changes nothing")
	}
	var none *redact.Redactor
	require.Equal(t, "[redacted:aws_access_key]", none.String("AKIA"+"IOSFODNN7EXAMPLE"))
}

func TestOrdinaryDataIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := redact.New(planted())
	seed := rand.New(rand.NewPCG(1, 2))
	blob := make([]byte, 3000)
	for i := range blob {
		blob[i] = byte(seed.Uint32())
	}
	sum := sha256.Sum256(blob)
	for _, in := range []string{
		hex.EncodeToString(sum[:]),
		"sha256:" + hex.EncodeToString(sum[:]),
		"commit 9c7b0a2f4de1b6c8a3f05e7d9b1c2a3f4d5e6f70",
		base64.StdEncoding.EncodeToString(blob),
		base64.RawURLEncoding.EncodeToString(blob),
		hex.EncodeToString(blob),
		"void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, at::detail::Array<char*, 3> >",
		"_ZN7cutlass13device_kernelIN5flash11enable_sm90INS1_16FlashAttnFwdSm90",
		"task-scheduler-2024-long-name-of-a-thing disk-0123456789abcdef0123456789 sk-learn-compatible-v1-estimators",
		"hf_transformers_model_implementation_v2 hf_quant_config.json --hf-overrides",
		"ghp_short gho_ xoxo AKIA AKIAlowercase1234567890 npm_config_registry nvapi-",
		"vllm/vllm-openai@sha256:0123456789abcdef git@github.com:a/b.git http://127.0.0.1:8080/v1@x http://[::1]:80/a:b@c",
		"the bearer authentication-is-required token of the bearer",
		"secrets: [HF_TOKEN] ${HF_TOKEN} HF_TOKEN=$HF_TOKEN HF_TOKEN is not set, GITHUB_TOKEN: missing-value",
		"eyJ is how JSON starts; eyJhIjoxfQ== alone is data",
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"tokenizer=Qwen/Qwen3-8B --api-key-file x TOKEN KEY= PASSWORD:",
	} {
		require.Equal(t, in, r.String(in))
	}
}

func TestShortValuesAreNotLookedFor(t *testing.T) {
	t.Parallel()
	require.Equal(t, "main maintains", redact.New(map[string]string{"A_TOKEN": "main", "B_TOKEN": ""}).String("main maintains"))
}

func TestLongerValueWins(t *testing.T) {
	t.Parallel()
	r := redact.New(map[string]string{"A": "abcdefgh", "B": "abcdefgh12345678"})
	require.Equal(t, "[redacted:b] [redacted:a]", r.String("abcdefgh12345678 abcdefgh"))
}

func TestJSONChangesStringsOnly(t *testing.T) {
	t.Parallel()
	r := redact.New(map[string]string{"PIN": "1234567890123456", "TEXT": "line\n\"two\""})
	for in, want := range map[string]string{
		`{"n": 1234567890123456,  "s":"1234567890123456","t":[true,null,1e5,"a<b>"]}`: `{"n": 1234567890123456,  "s":"[redacted:pin]","t":[true,null,1e5,"a<b>"]}`,
		`{"s":"line\n\"two\" <x>"}`:                          `{"s":"[redacted:text] <x>"}`,
		`{"s":"\u006cine\u000a\"two\""}`:                     `{"s":"[redacted:text]"}`,
		`{"a":{"HF_TOKEN" : "s3cretvalue"}}`:                 `{"a":{"HF_TOKEN" : "[redacted:secret_value]"}}`,
		`{"HF_TOKEN":"[redacted:x1]","secrets":1}`:           `{"HF_TOKEN":"[redacted:x1]","secrets":1}`,
		`{"HF_TOKEN":["s3cretvalue"],"b":"v4lues are fine"}`: `{"HF_TOKEN":["[redacted:secret_value]"],"b":"v4lues are fine"}`,
		`{"1234567890123456":1}`:                             `{"[redacted:pin]":1}`,
		`"1234567890123456"`:                                 `"[redacted:pin]"`,
		`not json 1234567890123456`:                          `not json [redacted:pin]`,
		`"esc\\" `:                                           `"esc\\" `,
		`{}`:                                                 `{}`,
	} {
		require.Equal(t, want, string(r.JSON(json.RawMessage(in))), in)
	}
}

func TestWriterFindsWhatIsSplit(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEA0123456789abcdef\n", 60) + "-----END PRIVATE KEY-----"
	var text strings.Builder
	for i := range 12 {
		for name, v := range planted() {
			fmt.Fprintf(&text, "line %d %s is %s here\n", i, name, v)
		}
	}
	text.WriteString(key + "\nlast " + planted()["HF_TOKEN"])
	r := redact.New(planted())
	want := r.String(text.String())
	for _, size := range []int{1, 100, 4096, 1 << 20} {
		var out bytes.Buffer
		w := r.Writer(&out)
		for in := text.String(); in != ""; {
			n := min(size, len(in))
			_, err := w.Write([]byte(in[:n]))
			require.NoError(t, err)
			in = in[n:]
		}
		require.NoError(t, w.Close())
		require.Equal(t, want, out.String(), "chunks of %d", size)
	}
}

func TestWriterPassesWholeLinesOnAtOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := redact.New(map[string]string{"HF_TOKEN": planted()["HF_TOKEN"]}).Writer(&out)
	_, err := w.Write([]byte("one\ntwo"))
	require.NoError(t, err)
	require.Equal(t, "one\n", out.String())
	_, err = w.Write([]byte("\n-----BEGIN PRIVATE KEY-----\nMIIE\n"))
	require.NoError(t, err)
	require.Equal(t, "one\ntwo\n", out.String())
	require.NoError(t, w.Close())
	require.Equal(t, "one\ntwo\n[redacted:private_key]", out.String())
}

func TestWriterBoundsWhatItHolds(t *testing.T) {
	t.Parallel()
	secret := planted()["HF_TOKEN"]
	for name, in := range map[string]string{
		"a line without end": strings.Repeat("x ", 40<<10) + secret + strings.Repeat(" y", 40<<10),
		"an endless key":     "-----BEGIN PRIVATE KEY-----" + strings.Repeat("A", 100<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := redact.New(planted())
			var out bytes.Buffer
			w := r.Writer(&out)
			held := 0
			for i := 0; i < len(in); i += 1000 {
				_, err := w.Write([]byte(in[i:min(i+1000, len(in))]))
				require.NoError(t, err)
				held = max(held, i+1000-out.Len())
			}
			require.NoError(t, w.Close())
			require.NotContains(t, out.String(), secret)
			require.Less(t, out.Len(), len(in)+100)
			if strings.Contains(in, secret) {
				require.Equal(t, r.String(in), out.String())
				require.Less(t, held, 128<<10)
			}
		})
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }

func TestWriterReportsFailure(t *testing.T) {
	t.Parallel()
	w := redact.New(nil).Writer(broken{})
	_, err := w.Write([]byte("line\n"))
	require.ErrorContains(t, err, "disk full")
	_, err = w.Write([]byte("more"))
	require.ErrorContains(t, err, "disk full")
	require.ErrorContains(t, w.Close(), "disk full")
}

func TestSecretsPicksByName(t *testing.T) {
	t.Parallel()
	got := redact.Secrets([]string{"HF_TOKEN=a", "MY_API_KEY=b", "PATH=/bin", "GOOGLE_APPLICATION_CREDENTIALS=/etc/key.json", "DB_PASSWORD=c=d", "TOKENIZERS_PARALLELISM=true", "broken"})
	require.Equal(t, map[string]string{"HF_TOKEN": "a", "MY_API_KEY": "b", "DB_PASSWORD": "c=d"}, got)
}

func FuzzRedact(f *testing.F) {
	f.Add("hf_aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z and AKIAIOSFODNN7EXAMPLE", 3)
	f.Add(`{"a":"-----BEGIN PRIVATE KEY-----\nMIIE"}`, 1)
	f.Add("https://a:b@c bearer abcdefghijklmnop1", 5)
	r := redact.New(planted())
	f.Fuzz(func(t *testing.T, in string, size int) {
		once := r.String(in)
		require.Equal(t, once, r.String(once))
		raw := r.JSON(json.RawMessage(in))
		require.True(t, json.Valid(raw) || !json.Valid([]byte(in)))
		var out bytes.Buffer
		w := r.Writer(&out)
		for i, step := 0, max(1, size&63); i < len(in); i += step {
			_, err := w.Write([]byte(in[i:min(i+step, len(in))]))
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		require.Equal(t, once, out.String())
	})
}

func BenchmarkJSON(b *testing.B) {
	r := redact.New(planted())
	row := `{"id":"kernel:decode:3@0123456789abcdef","name":"void cutlass::device_kernel<flash::FlashAttnFwdSm90>","total_us":1234.5},`
	raw := json.RawMessage(`{"rows":[` + strings.Repeat(row, 200) + `{}]}`)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		r.JSON(raw)
	}
}
