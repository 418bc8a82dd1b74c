package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
)

// sourceFiles are the files that the simulated engine imports, below its package.
func sourceFiles(engine string) []string {
	if engine != "sglang" {
		return []string{"__init__.py", "version.py"}
	}
	return []string{"__init__.py", "version.py", "launch_server.py", "srt/__init__.py", "srt/layers/__init__.py", "srt/models/__init__.py",
		"srt/model_executor/__init__.py", "srt/managers/__init__.py", "srt/layers/fused_norm_rope.py", "srt/layers/layernorm.py",
		"srt/layers/rotary_embedding.py", "srt/layers/activation.py", "srt/layers/linear.py", "srt/layers/radix_attention.py",
		"srt/layers/logits_processor.py", "srt/layers/sampler.py", "srt/models/qwen3.py", "srt/model_executor/model_runner.py",
		"srt/model_executor/cuda_graph_runner.py", "srt/managers/scheduler.py"}
}

// readSource imports the engine's package, takes the switch from it, and proves what was read.
func (e *engine) readSource() error {
	pr, _ := productOf(e.id)
	dir, ok := e.p.findPackage(pr.folder)
	if !ok {
		return raised("ModuleNotFoundError", "No module named '%s'", pr.folder)
	}
	tree, err := loadSource(dir, sourceFiles(e.id))
	if err != nil {
		return err
	}
	e.src = tree
	if e.id == "sglang" {
		const file = "srt/layers/fused_norm_rope.py"
		if e.set.fusedNormRope, err = tree.boolean(file, switchName); err != nil {
			return err
		}
		e.log.info("SIMULATED: %s = %s from %s", switchName, pythonLiteral(e.set.fusedNormRope), filepath.Join(dir, filepath.FromSlash(file)))
	}
	return e.prove()
}

// prove writes proof-<pid>.json into SOTALOOP_PROOF_DIR: each module that was imported, its file and digest.
func (e *engine) prove() error {
	dir := e.p.env["SOTALOOP_PROOF_DIR"]
	if dir == "" {
		return nil
	}
	modules := map[string]loadedModule{}
	maps.Copy(modules, e.src.loaded)
	b, err := json.Marshal(map[string]any{"pid": os.Getpid(), "modules": modules})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("proof of what was loaded: %w", err)
	}
	return replaceFile(filepath.Join(dir, fmt.Sprintf("proof-%d.json", os.Getpid())), b, 0o644)
}
