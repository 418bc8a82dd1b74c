package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// modelsTimeout is how long a server may take to list its models.
const modelsTimeout = 10 * time.Second

// served is one model of /v1/models.
type served struct {
	ID          string `json:"id"`
	MaxModelLen int    `json:"max_model_len"` // 0 where the server does not say
}

// greet asks the server what it serves, then sends one request of the load's shape, which nothing measures, so that a
// wrong address, key, model or length is told before the load rather than by all of its requests.
func (r *loadgenRun) greet(ctx context.Context, progress *progressLine) error {
	list, err := r.models(ctx)
	if err != nil {
		return err
	}
	if r.target.Path != bench.PathGenerate {
		if err := r.chooseModel(list); err != nil {
			return err
		}
	}
	s := r.spec.Scenario
	for _, m := range list {
		if m.ID == r.model && m.MaxModelLen > 0 && s.InputLen+s.OutputLen > m.MaxModelLen {
			return fault.New(fault.InvalidInput, "%d tokens in and %d out are more than the server's max_model_len of %d", s.InputLen, s.OutputLen, m.MaxModelLen).
				At("input_len", fmt.Sprint(s.InputLen+s.OutputLen))
		}
	}
	r.target.Model = r.model
	one := r.spec
	one.Scenario.Arrival, one.Scenario.NumPrompts, one.Scenario.WarmupWaves = contract.ArrivalBurst, 1, 0
	one.Scenario.RequestRate, one.Scenario.MaxConcurrency = nil, nil
	if len(r.spec.WarmupRows) > 0 { // a measured row that was sent before would be in the prefix cache
		one.Rows = r.spec.WarmupRows
	}
	one.Seed = bench.MixSeed(r.spec.Seed, "greeting", s.Name, 0)
	point, err := bench.Run(ctx, r.target, one, func(p bench.Progress) {
		p.Phase = "first request"
		progress.show(p)
	})
	progress.end()
	if err != nil {
		return err
	}
	for _, rec := range point.Recording.Records {
		if !rec.OK() {
			return r.greeted(rec)
		}
	}
	return nil
}

// greeted turns the greeting's failure into a fault where the load's requests could only fail alike.
func (r *loadgenRun) greeted(rec *bench.Record) error {
	said := strings.TrimPrefix(r.clean(rec.Error), string(rec.ErrorClass)+": ")
	switch {
	case rec.ErrorClass == bench.ErrConnect || rec.ErrorClass == bench.ErrResolve:
		return fault.New(fault.HostUnreachable, "no connection to %q: %s", r.target.BaseURL, said)
	case rec.ErrorClass == bench.ErrRedirect:
		return fault.New(fault.InvalidInput, "the server sends requests elsewhere: %s", said).At("url", r.target.BaseURL).
			Hint("give --url as the server itself has it: a way round would be measured with it")
	case rec.ErrorClass == bench.ErrEncoded:
		return fault.New(fault.InvalidInput, "the server or a proxy before it compresses what it streams: %s", said).At("url", r.target.BaseURL).
			Hint("give the address of the engine itself, or switch the compression off: it holds tokens back")
	case rec.HTTPStatus == http.StatusUnauthorized || rec.HTTPStatus == http.StatusForbidden:
		return r.refusedKey(said)
	case rec.HTTPStatus == http.StatusNotFound || rec.HTTPStatus == http.StatusMethodNotAllowed:
		return fault.New(fault.NotFound, "the server has no %s, or no model %q: %s", r.target.Path, r.model, said).At("endpoint", r.endpoint).
			Hint("give --endpoint and --model as the server has them")
	case slices.Contains([]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity}, rec.HTTPStatus):
		return fault.New(fault.InvalidInput, "the server refuses requests of this shape: %s", said).
			Hint("compare --input-len and --output-len with the server's context length, --vocab with its vocabulary")
	}
	r.note(fmt.Sprintf("the first request failed (%s: %s); the load begins all the same", rec.ErrorClass, said))
	return nil
}

func (r *loadgenRun) refusedKey(said string) error {
	hint := "name the environment variable that holds the key: --api-key-env NAME"
	if r.keyEnv != "" {
		hint = "check the value of the variable that --api-key-env names"
	}
	return fault.New(fault.InvalidInput, "the server refused the key or the lack of one: %s", said).At("api-key-env", "").Hint("%s", hint)
}

// models asks for /v1/models; nil where the server has no such list.
func (r *loadgenRun) models(ctx context.Context) ([]served, error) {
	ctx, stop := context.WithTimeout(ctx, modelsTimeout)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.target.BaseURL+"/v1/models", http.NoBody)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "ask for /v1/models")
	}
	for name, value := range r.target.Header {
		request.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, // like the load: no proxy, no redirect
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	switch {
	case errors.Is(err, context.Canceled):
		return nil, fault.Wrap(fault.Canceled, context.Cause(ctx), "ask for /v1/models")
	case err != nil:
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return nil, fault.New(fault.HostUnreachable, "no answer from %q: %s", r.target.BaseURL, r.clean(err.Error())).At("url", r.target.BaseURL).
			Hint("check that the server runs and that --url names its port")
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
		return nil, r.refusedKey(answer.Status)
	}
	var list struct {
		Data []served `json:"data"`
	}
	if answer.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(answer.Body, 16<<20)).Decode(&list) != nil {
		return nil, nil
	}
	return list.Data, nil
}

// chooseModel holds --model against the list, or takes the only one of it.
func (r *loadgenRun) chooseModel(list []served) error {
	ids := make([]string, len(list))
	for i, m := range list {
		ids[i] = m.ID
	}
	shown := make([]string, len(ids))
	for i, id := range ids {
		shown[i] = r.clean(id)
	}
	switch {
	case r.model != "" && (len(ids) == 0 || slices.Contains(ids, r.model)):
		return nil
	case r.model != "":
		return fault.New(fault.NotFound, "the server has no model %q", r.model).At("model", r.model, shown...)
	case len(ids) == 0:
		return fault.New(fault.InvalidInput, "the server names no model under /v1/models").At("model", "").Hint("give --model NAME")
	case len(ids) > 1:
		return fault.New(fault.InvalidInput, "the server has %d models", len(ids)).At("model", "", shown...).Hint("choose one: --model NAME")
	}
	r.model = ids[0]
	r.assume("model %q, the only one of /v1/models", shown[0])
	r.note(fmt.Sprintf("model %q, the only one of /v1/models", shown[0]))
	return nil
}
