package worker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sotaloop/sotaloop/internal/redact"
)

// published ends the name of the copy of an engine's log that leaves the host: no secrets, no terminal escapes.
const published = ".published"

// hideSecrets learns the values of the secrets that the plan's engines get. They are known on this host only, so what
// leaves it is redacted here: events, logs, records; a trace that holds one stays.
func (r *runner) hideSecrets() {
	values := map[string]string{}
	for i := range r.plan.Launches {
		for _, name := range r.plan.Launches[i].SecretEnv {
			if v, ok := r.opts.LookupEnv(name); ok {
				values[name] = v
			}
		}
	}
	r.hidden = redact.New(values)
}

// hide takes secrets out of a text, the values of the launch's own also where they are short.
func (r *runner) hide(e *engine, text string) string {
	text = r.hidden.String(text)
	for _, name := range e.launch.SecretEnv {
		if v, ok := r.opts.LookupEnv(name); ok && len(v) >= 4 {
			text = strings.ReplaceAll(text, v, "["+name+"]")
		}
	}
	return text
}

// publish writes the copy of an engine's log that may leave the host.
func (r *runner) publish(e *engine) (path string, err error) {
	path = e.log + published
	from, err := os.Open(e.log)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	w := r.hidden.Writer(plain{to})
	_, err = io.Copy(w, from)
	return path, errors.Join(err, w.Close(), to.Close())
}

// plain passes on text without terminal escapes and control characters; a Writer hands it whole lines.
type plain struct{ to io.Writer }

func (p plain) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.to, cleanText(b, len(b)+1)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// secretIn says which kind of secret a trace holds, "" where there is none.
func (r *runner) secretIn(path string) (kind string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	from, err := unpacked(f, path)
	if err != nil {
		return "", err
	}
	return r.hidden.Find(from)
}

// keepsSecrets is the failure of a capture whose trace would carry a secret away.
func (r *runner) keepsSecrets(files []File) *Failure {
	for _, f := range files {
		kind, err := r.secretIn(filepath.Join(r.dir, filepath.FromSlash(f.Name)))
		switch {
		case err != nil:
			return &Failure{Class: FailCapture, Reason: "the trace cannot be read: " + cleanLine(err.Error(), maxReasonLine)}
		case kind != "":
			return &Failure{Class: FailCapture, Reason: fmt.Sprintf("the trace holds a secret (%s) and stays on the host; take it out of what the engine is given", kind)}
		}
	}
	return nil
}
