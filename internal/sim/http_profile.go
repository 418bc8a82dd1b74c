package sim

import (
	"fmt"
	"net/http"
	"os"
)

func (e *engine) profileRoutes(mux *http.ServeMux) {
	mux.HandleFunc("/start_profile", e.startProfile)
	mux.HandleFunc("/stop_profile", e.stopProfile)
}

// startProfile takes SGLang's body; vLLM takes none, everything was said at the launch.
func (e *engine) startProfile(w http.ResponseWriter, r *http.Request) {
	var opt profileOptions
	if e.id == "vllm" {
		opt = profileOptions{OutputDir: e.set.profilerDir, NumSteps: e.set.profileSteps, WithStack: &e.set.withStack, Shapes: &e.set.recordShapes}
	} else if r.ContentLength != 0 {
		if err := readBody(r, &opt); err != nil {
			e.refuseError(w, err)
			return
		}
	}
	if opt.OutputDir == "" {
		opt.OutputDir = e.p.env[map[string]string{"sglang": "SGLANG_TORCH_PROFILER_DIR", "tokenspeed": "TOKENSPEED_PROFILER_DIR"}[e.id]]
	}
	if opt.OutputDir == "" {
		opt.OutputDir = os.TempDir()
	}
	if err := e.prof.start(opt); err != nil {
		e.refuseError(w, err)
		return
	}
	e.say(w, "Start profiling.\n")
}

func (e *engine) stopProfile(w http.ResponseWriter, _ *http.Request) {
	if err := e.prof.stop(); err != nil {
		e.refuseError(w, err)
		return
	}
	e.say(w, "Stop profiling. This will take some time.\n")
}

// say answers with SGLang's sentence; vLLM answers without one.
func (e *engine) say(w http.ResponseWriter, text string) {
	if e.id != "vllm" {
		_, _ = fmt.Fprint(w, text)
	}
}
