package compare

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// longestLine bounds one row, in bytes.
const longestLine = 16 << 20

// ReadRows reads one JSON object a line; blank lines and a byte order mark are skipped. The first line that is no row ends reading with a
// fault that begins with name:line and names the field.
func ReadRows(r io.Reader, name string) ([]Row, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), longestLine)
	rows := []Row{}
	n := 0
	for lines.Scan() {
		n++
		raw := lines.Bytes()
		if n == 1 {
			raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
		}
		raw = bytes.TrimSpace(raw)
		if len(raw) == 0 {
			continue
		}
		row, err := ParseRow(raw)
		if err != nil {
			f := fault.Wrap(fault.InvalidInput, err, "%s:%d", name, n).At(fmt.Sprintf("%s:%d", name, n), "")
			var by ruled
			if errors.As(err, &by) {
				f = f.ByRule(by.rule)
			}
			return nil, f
		}
		row.Line = n
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("line is longer than %d MiB", longestLine>>20)
		}
		return nil, fault.Wrap(fault.InvalidInput, err, "%s:%d", name, n+1)
	}
	return rows, nil
}

// ParseRow reads one row. Keys must be unique, whatever their case; names of frameworks and of the scenario's field
// that other tools write are translated; metrics of 0 that only mean "not measured" are refused.
func ParseRow(raw []byte) (Row, error) {
	switch {
	case bytes.HasPrefix(raw, []byte("\xff\xfe")), bytes.HasPrefix(raw, []byte("\xfe\xff")), bytes.IndexByte(raw, 0) >= 0:
		return Row{}, errors.New("not UTF-8 text: save the file as UTF-8, one JSON object a line")
	case raw[0] == '[':
		return Row{}, errors.New("not a JSON object: a list is no row; write one object a line")
	case raw[0] != '{':
		return Row{}, errors.New("not a JSON object")
	}
	if err := uniqueKeys(raw); err != nil {
		return Row{}, err
	}
	var foreign struct {
		Row
		LaunchCommand string         `json:"launch_command"`
		TopScenario   string         `json:"scenario"`
		Workload      foreignScenery `json:"workload"`
	}
	if err := json.Unmarshal(raw, &foreign); err != nil {
		return Row{}, explain(err)
	}
	row := foreign.Row
	row.Workload = foreign.Workload.Workload
	row.Workload.Scenario = foreign.Workload.scenario(foreign.TopScenario)
	if row.ServerCommand == "" {
		row.ServerCommand = foreign.LaunchCommand
	}
	row.Framework = canonical(row.Framework)
	return row, row.check()
}

// foreignScenery is a workload with the other names under which tools write the scenario.
type foreignScenery struct {
	Workload
	ScenarioName    string `json:"scenario_name"`
	DatasetScenario string `json:"dataset_scenario"`
	DatasetName     string `json:"dataset_name"`
}

func (w foreignScenery) scenario(top string) string {
	for _, name := range []string{w.Scenario, w.ScenarioName, w.DatasetScenario, w.DatasetName, w.Kind, top} {
		if name != "" {
			return name
		}
	}
	return "default"
}

func canonical(f contract.Framework) contract.Framework {
	switch name := strings.ToLower(strings.TrimSpace(string(f))); name {
	case "trtllm", "trt-llm", "tensorrt-llm", "tensorrt_llm":
		return contract.TensorRTLLM
	case "ts", "tokenspeed":
		return contract.TokenSpeed
	default:
		return contract.Framework(name)
	}
}

func explain(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Errorf("%s: %s where %s belongs (null = not measured, or unbounded)", strings.TrimPrefix(wrong.Field, "Row."), wrong.Value, plainType(wrong.Type.String()))
	}
	return err
}

func plainType(goType string) string {
	switch strings.TrimLeft(goType, "*") {
	case "float64", "int", "int64":
		return "a number"
	case "bool":
		return "true or false"
	case "string", "compare.Status", "compare.Phase", "contract.Framework", "contract.Arrival":
		return "a string"
	default:
		return "an object"
	}
}

// ruled is an error that a rule demands.
type ruled struct {
	rule string
	error
}

func (r *Row) check() error {
	switch {
	case r.Framework == "":
		return errors.New("framework: missing")
	case !slices.Contains(Statuses, string(r.Status)):
		return ruled{RuleRowStatus, fmt.Errorf("status: %q is none of %s", r.Status, strings.Join(Statuses, ", "))}
	case r.Phase != "" && !slices.Contains(Phases, string(r.Phase)):
		return fmt.Errorf("phase: %q is none of %s", r.Phase, strings.Join(Phases, ", "))
	case r.Workload.Arrival != "" && !slices.Contains(contract.Arrivals, string(r.Workload.Arrival)):
		return fmt.Errorf("workload.arrival: %q is none of %s", r.Workload.Arrival, strings.Join(contract.Arrivals, ", "))
	case r.Block != nil && *r.Block < 0:
		return fmt.Errorf("block: %d is negative", *r.Block)
	}
	for field, n := range map[string]*int{"num_prompts": r.Workload.NumPrompts, "max_concurrency": r.Workload.MaxConcurrency} {
		if n != nil && *n < 1 {
			return fmt.Errorf("workload.%s: %d, want at least 1 (null = unbounded or unknown)", field, *n)
		}
	}
	if rate := r.Workload.RequestRate; rate != nil && *rate <= 0 {
		return fmt.Errorf("workload.request_rate: %v, want more than 0 (null = unbounded)", *rate)
	}
	if err := r.SLA.Limits.Validate(); err != nil {
		return err
	}
	return r.Metrics.check()
}

// AppendRow writes one row as one line that ReadRows reads back bit for bit. A row that ReadRows would refuse is an
// error here.
func AppendRow(dst []byte, r Row) ([]byte, error) {
	if r.Workload.Scenario == "" {
		return dst, errors.New("row: workload.scenario: missing")
	}
	for name, v := range r.Metrics {
		if !finite(v) {
			r.Metrics = r.Metrics.without(name)
		}
	}
	if err := r.check(); err != nil {
		return dst, fmt.Errorf("row: %w", err)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return dst, fmt.Errorf("row: %w", err)
	}
	return append(append(dst, raw...), '\n'), nil
}

// MarshalJSON writes empty lists where nothing was validated.
func (v ValidatedFlags) MarshalJSON() ([]byte, error) {
	type plain ValidatedFlags
	v.Server, v.Benchmark = orEmpty(v.Server), orEmpty(v.Benchmark)
	return json.Marshal(plain(v))
}

// MarshalJSON writes an empty list where there are no reasons.
func (a Audit) MarshalJSON() ([]byte, error) {
	type plain Audit
	a.Reasons = orEmpty(a.Reasons)
	return json.Marshal(plain(a))
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
