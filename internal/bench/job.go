package bench

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// job is one request, ready to be written.
type job struct {
	rec  *Record
	wire []byte // HTTP head and body
}

// purposes of draws; streams of different purposes never meet.
const (
	purposePrompt  = "prompt"
	purposeWarmup  = "warmup-prompt"
	purposeLead    = "lead-prompt"
	purposeTail    = "tail-prompt"
	purposeArrival = "arrival"
)

// purposeOf gives the draws a role's prompts come from: nothing unmeasured ever shares a prompt with the window.
func purposeOf(role Role) string {
	switch role {
	case RoleWarmup:
		return purposeWarmup
	case RoleLead:
		return purposeLead
	case RoleTail:
		return purposeTail
	default:
		return purposePrompt
	}
}

// writer makes the requests of one point.
type writer struct {
	spec   Spec
	target Target
	head   string // HTTP head up to the length
	fixed  map[string]any
	vocab  vocabulary
}

// newWriter prepares what every request of the point shares.
func newWriter(target Target, spec Spec, host string) *writer {
	w := &writer{spec: spec, target: target, vocab: newVocabulary(spec.Vocab)}
	accept := "application/json"
	if spec.Scenario.Stream {
		accept = "text/event-stream"
	}
	w.head = "POST " + target.Path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nAccept: " + accept + "\r\nAccept-Encoding: identity" +
		"\r\nUser-Agent: " + ClientName + "-bench/" + ClientVersion + "\r\n"
	for _, name := range slices.Sorted(maps.Keys(target.Header)) {
		w.head += name + ": " + target.Header[name] + "\r\n"
	}
	w.fixed = w.fixedFields()
	return w
}

// fixedFields are the fields every body carries. Temperature, ignore_eos and the stream options are always sent, so
// that no framework's default differs from another's.
func (w *writer) fixedFields() map[string]any {
	s := w.spec.Scenario
	fields := map[string]any{}
	maps.Copy(fields, w.target.Extra)
	fields["stream"] = s.Stream
	if w.target.Path == PathGenerate {
		if w.spec.WantLogprobs {
			fields["return_logprob"] = true
		}
		return fields
	}
	fields["model"] = w.target.Model
	fields["temperature"] = s.Temperature
	fields["ignore_eos"] = s.IgnoreEOS
	if s.Stream && fields["stream_options"] == nil {
		fields["stream_options"] = map[string]any{"include_usage": true}
	}
	if w.spec.WantLogprobs && w.target.Path == PathCompletions {
		fields["logprobs"] = 1
	} else if w.spec.WantLogprobs {
		fields["logprobs"] = true
	}
	return fields
}

// job makes the request that a record was planned for.
func (w *writer) job(rec *Record) (*job, error) {
	body, err := w.body(rec, rec.Role, rec.Index)
	if err != nil {
		return nil, err
	}
	wire := make([]byte, 0, len(w.head)+len(body)+40)
	wire = append(wire, w.head...)
	wire = append(wire, "Content-Length: "...)
	wire = strconv.AppendInt(wire, int64(len(body)), 10)
	wire = append(wire, "\r\n\r\n"...)
	return &job{rec: rec, wire: append(wire, body...)}, nil
}

// body gives the JSON of request i and notes in rec what was asked for.
func (w *writer) body(rec *Record, role Role, i int) ([]byte, error) {
	fields := maps.Clone(w.fixed)
	rec.WantOut = w.spec.Scenario.OutputLen
	var ids []byte
	if w.spec.Scenario.Kind == contract.KindRandom {
		rec.WantIn = w.spec.Scenario.InputLen
		ids = w.vocab.prompt(w.spec.Seed, purposeOf(role), i, rec.WantIn)
		field := "prompt"
		if w.target.Path == PathGenerate {
			field = "input_ids"
		}
		fields[field] = json.RawMessage(ids)
	} else if err := w.rowFields(fields, rec, role, i); err != nil {
		return nil, err
	}
	w.lengthFields(fields, rec.WantOut, role, i)
	return json.Marshal(fields)
}

// lengthFields sets the output length and the sampling seed where the endpoint has them.
func (w *writer) lengthFields(fields map[string]any, outputLen int, role Role, i int) {
	if w.target.Path == PathGenerate {
		fields["sampling_params"] = map[string]any{"max_new_tokens": outputLen, "ignore_eos": w.spec.Scenario.IgnoreEOS,
			"temperature": w.spec.Scenario.Temperature}
		return
	}
	fields["max_tokens"] = outputLen
	fields["seed"] = stream(w.spec.Seed, "sampling-"+purposeOf(role), i).Uint64() >> 33
}

// rowFields puts the prompt of a dataset row into a body.
func (w *writer) rowFields(fields map[string]any, rec *Record, role Role, i int) error {
	row := w.row(role, i)
	switch {
	case len(row.Messages) > 0 && w.target.Path == PathChat:
		fields["messages"] = row.Messages
	case row.Prompt != "" && w.target.Path == PathCompletions:
		fields["prompt"] = row.Prompt
	case row.Prompt != "" && w.target.Path == PathChat:
		fields["messages"] = []map[string]string{{"role": "user", "content": row.Prompt}}
	case row.Prompt != "" && w.target.Path == PathGenerate:
		fields["text"] = row.Prompt
	default:
		return fmt.Errorf("row %d has messages, which %s does not take", i+1, w.target.Path)
	}
	if row.OutputLen > 0 {
		rec.WantOut = row.OutputLen
	}
	for key, value := range row.Extra {
		if !slices.Contains(ownFields(), key) {
			fields[key] = value
		}
	}
	return nil
}

// row gives the dataset row of request i: measured rows for what was planned for the window, the others, over and over,
// for the rest.
func (w *writer) row(role Role, i int) Row {
	if role == RoleWindow {
		return w.spec.Rows[i%len(w.spec.Rows)]
	}
	return w.spec.WarmupRows[i%len(w.spec.WarmupRows)]
}
