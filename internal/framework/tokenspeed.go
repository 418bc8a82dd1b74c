package framework

import (
	"strconv"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// tokenSpeed speaks to `tokenspeed serve`: a gateway on the port, the engine's control server on the next.
type tokenSpeed struct{ *table }

func (tokenSpeed) Type() contract.Framework { return contract.TokenSpeed }

// HelpCommand asks the engine's own parser: `tokenspeed serve --help` shows the orchestrator's flags only.
func (tokenSpeed) HelpCommand(e Engine, command string) ([]string, error) {
	if command == "bench" {
		return []string{exe(e, "tokenspeed"), "bench", "serve", "--help"}, nil
	}
	return []string{exe(e, "python"), "-c", "from tokenspeed.runtime.utils.server_args import prepare_server_args as p; p(['--help'])"}, nil
}

func (tokenSpeed) VersionCommand(e Engine) []string {
	return []string{exe(e, "python"), "-c", versionProgram("tokenspeed")}
}

func (tokenSpeed) Launch(s Spec) (Launch, error) {
	argv := []string{exe(s.Engine, "tokenspeed"), "serve", s.ModelPath, "--served-model-name", s.ServedName, "--host", "127.0.0.1", "--port", PortPlaceholder}
	if c := s.Contract; c != nil {
		argv = set(argv, "--tokenizer", c.Model.Tokenizer)
		argv = when(c.TrustRemoteCode, argv, "--trust-remote-code")
		argv = set(argv, "--dtype", c.Precision)
		argv = set(argv, "--quantization", c.Quantization)
		argv = set(argv, "--kv-cache-dtype", c.KVDtype)
		if c.MaxContext > 0 {
			argv = append(argv, "--max-model-len", strconv.Itoa(c.MaxContext))
		}
		argv = append(argv, "--seed", seedOf(c.Seed))
	}
	if len(s.GPUs) > 1 && !laidOut(&tokenSpeedFlags, s) {
		argv = append(argv, "--tensor-parallel-size", strconv.Itoa(len(s.GPUs)))
	}
	knobs, err := flags(&tokenSpeedFlags, s, false)
	if err != nil {
		return Launch{}, err
	}
	env := offline()
	return launched(contract.TokenSpeed, s, append(argv, knobs...), env)
}

func (tokenSpeed) Protocol(Spec) Protocol {
	return Protocol{
		ReadyPath: "/readiness", ReadyLog: "ts control server ready on", ControlOff: 1,
		Phases:    []LogPhase{{"weights", "Load weight end"}, {"engine", "ts serve ready on"}, {"ready", "ts control server ready on"}},
		Failures:  failures(),
		Flush:     &Call{Method: "POST", Path: "/flush_cache"},
		InfoPaths: []string{"/get_server_info"},
		Profile: Profile{
			Start: &Call{Method: "POST", Path: "/start_profile", Body: `{"output_dir":"` + OutputPlaceholder + `","num_steps":` + StepsPlaceholder +
				`,"activities":["CPU","GPU"],"with_stack":true,"record_shapes":false,"profile_id":"` + StagePlaceholder + `"}`},
			Stop: &Call{Method: "POST", Path: "/stop_profile"}, StopMayFail: true, ExtraSteps: 1, FilePatterns: profileFiles,
		},
	}
}
