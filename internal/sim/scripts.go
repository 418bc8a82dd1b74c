package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// runScript plays a console script.
func runScript(p *persona) int {
	switch filepath.Base(p.link) {
	case "vllm":
		return runVLLM(p, p.args)
	case "trtllm-serve":
		return runTRTLLM(p, p.args)
	case "tokenspeed", "ts":
		return runTokenSpeed(p, p.args)
	}
	return runSGLangScript(p)
}

func argparse() dialect { return dialect{abbreviate: true} }

func wantsHelp(args []string) bool {
	return slices.Contains(args, "--help") || slices.Contains(args, "-h")
}

// runSGLangScript is `sglang serve|version`.
func runSGLangScript(p *persona) int {
	if len(p.args) > 0 && p.args[0] == "version" {
		pr, _ := productOf("sglang")
		fmt.Fprintln(p.stdout, "sglang version: "+pr.version)
		return 0
	}
	if len(p.args) == 0 || p.args[0] != "serve" {
		fmt.Fprintln(p.stderr, "usage: sglang [-h] {serve,version} ...\nsglang: error: the following arguments are required: subcommand")
		return 2
	}
	args := p.args[1:]
	if i := slices.Index(args, "--model-type"); i >= 0 && i+1 < len(args) {
		if args[i+1] == "diffusion" {
			fmt.Fprintln(p.stderr, "NotImplementedError: the simulated GPU host has no diffusion models")
			return 1
		}
		args = slices.Delete(slices.Clone(args), i, i+2)
	} else if wantsHelp(args) {
		fmt.Fprint(p.stdout, "Usage: sglang serve --model-path <model-name-or-path> [additional-arguments]\n\nThis command can launch either a standard language model server or a diffusion model server.\nThe server type is determined by the model path.\n\n--- Help for Standard Language Model Server ---\n")
	}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		args = append([]string{"--model-path"}, args...)
	}
	return runSGLang(p, "sglang serve", args)
}

// runSGLang is the server's own parser.
func runSGLang(p *persona, prog string, args []string) int {
	set, err := flagsOf("sglang")
	if err != nil {
		return p.fail(1, err.Error())
	}
	style := helpStyle{prog: prog}
	if wantsHelp(args) {
		fmt.Fprint(p.stdout, set.argparseHelp(style, columnsOf(p.env), nil))
		return 0
	}
	v, err := withConfigFile(set, args, argparse(), "config")
	if err == nil && !v.has("model_path") {
		err = &usageError{"the following arguments are required: --model-path/--model"}
	}
	if err == nil && len(v.positional) > 0 {
		err = &usageError{"unrecognized arguments: " + strings.Join(v.positional, " ")}
	}
	if err != nil {
		return p.usage(set.argparseUsage(style, columnsOf(p.env)), prog, err)
	}
	return launchEngine(p, "sglang", v.text("model_path"), v)
}

// usage prints an argparse mistake and returns argparse's status.
func (p *persona) usage(usage, prog string, err error) int {
	if ue := (*usageError)(nil); !errors.As(err, &ue) {
		return p.fail(1, err.Error())
	}
	fmt.Fprintf(p.stderr, "%s%s: error: %s\n", usage, prog, err.Error())
	return 2
}

// withConfigFile parses args after the options of a YAML file named by --config; the command line wins.
func withConfigFile(set *flagSet, args []string, d dialect, dest string) (*values, error) {
	v, err := set.parse(args, d)
	if err != nil || !v.has(dest) {
		return v, err
	}
	b, err := os.ReadFile(v.text(dest))
	if err != nil {
		return nil, &usageError{"argument --config: can't open '" + v.text(dest) + "'"}
	}
	var file yaml.MapSlice
	if err := yaml.Unmarshal(b, &file); err != nil {
		return nil, &usageError{"argument --config: " + err.Error()}
	}
	before := []string{}
	for _, item := range file {
		name := "--" + strings.ReplaceAll(fmt.Sprint(item.Key), "_", "-")
		switch value := item.Value.(type) {
		case bool:
			if value {
				before = append(before, name)
			}
		case []any:
			before = append(before, name)
			for _, x := range value {
				before = append(before, fmt.Sprint(x))
			}
		default:
			before = append(before, name, fmt.Sprint(value))
		}
	}
	return set.parse(append(before, args...), d)
}

// runTRTLLM is the click command group with its default command serve.
func runTRTLLM(p *persona, args []string) int {
	pr, _ := productOf("tensorrt_llm")
	if slices.Contains(args, "--version") {
		fmt.Fprintf(p.stdout, "[TensorRT-LLM] TensorRT LLM version: %s\n%s\n", pr.version, pr.version)
		return 0
	}
	set, err := flagsOf("tensorrt_llm")
	if err != nil {
		return p.fail(1, err.Error())
	}
	if len(args) > 0 && args[0] == "serve" {
		args = args[1:]
	} else if wantsHelp(args) && len(args) == 1 {
		fmt.Fprint(p.stdout, "Usage: trtllm-serve [OPTIONS] COMMAND [ARGS]...\n\nOptions:\n  --help  Show this message and exit.\n\nCommands:\n  serve  Running an OpenAI API compatible server\n")
		return 0
	}
	if wantsHelp(args) {
		fmt.Fprint(p.stdout, set.clickHelp("trtllm-serve serve [OPTIONS] MODEL", "Running an OpenAI API compatible server\n\n  MODEL: model name | HF checkpoint path | TensorRT engine path", columnsOf(p.env)))
		return 0
	}
	v, err := set.parse(args, dialect{click: true})
	if err == nil && len(v.positional) == 0 {
		err = &usageError{"Missing argument 'MODEL'."}
	}
	if err == nil && len(v.positional) > 1 {
		err = &usageError{fmt.Sprintf("Got unexpected extra argument (%s)", v.positional[1])}
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "Usage: trtllm-serve serve [OPTIONS] MODEL\nTry 'trtllm-serve serve --help' for help.\n\nError: %v\n", err)
		return 2
	}
	v.given["model_tag"] = v.positional[:1]
	return launchEngine(p, "tensorrt_llm", v.positional[0], v)
}

// runTokenSpeed is `tokenspeed serve`: its parser knows the orchestrator's options, all others fall through to the
// engine and, where that does not know them, to the gateway (clap).
func runTokenSpeed(p *persona, args []string) int {
	pr, _ := productOf("tokenspeed")
	if len(args) > 0 && (args[0] == "version" || args[0] == "--version") {
		fmt.Fprintln(p.stdout, "tokenspeed "+pr.version)
		return 0
	}
	if len(args) == 0 || args[0] != "serve" {
		fmt.Fprintln(p.stderr, "usage: tokenspeed [-h] {serve,bench,merge-traces,version} ...\ntokenspeed: error: the following arguments are required: command")
		return 2
	}
	set, err := flagsOf("tokenspeed")
	if err != nil {
		return p.fail(1, err.Error())
	}
	if wantsHelp(args) {
		style := helpStyle{prog: "tokenspeed serve", usage: "[-h] [--headless] [model] ..."}
		own := func(f *flag) bool { return f.group == 0 }
		text := set.argparseHelp(style, columnsOf(p.env), own)
		fmt.Fprint(p.stdout, strings.Replace(text, "options:\n", "options:\n  -h, --help  show this help message and exit\n", 1))
		return 0
	}
	v, err := set.parse(args[1:], dialect{})
	if err != nil {
		if v != nil && len(v.unknown) > 0 {
			fmt.Fprintf(p.stderr, "error: unexpected argument '%s' found\n\nUsage: smg launch [OPTIONS]\n\nFor more information, try '--help'.\n", v.unknown[0])
			return 2
		}
		return p.usage("usage: tokenspeed serve [-h] [--headless] [model] ...\n", "tokenspeed serve", err)
	}
	if !v.has("model") && len(v.positional) > 0 {
		v.given["model"] = v.positional[:1]
	}
	if !v.has("model") {
		return p.usage("usage: tokenspeed serve [-h] [--headless] [model] ...\n", "tokenspeed serve", &usageError{"the following arguments are required: model"})
	}
	return launchEngine(p, "tokenspeed", v.text("model"), v)
}

// tokenSpeedEngineHelp is the help of the engine's own parser, which only a `python -c` reaches.
func (p *persona) tokenSpeedEngineHelp() int {
	set, err := flagsOf("tokenspeed")
	if pr, ok := p.owner(); err != nil || !ok || pr.id != "tokenspeed" {
		fmt.Fprintln(p.stderr, "ModuleNotFoundError: No module named 'tokenspeed'")
		return 1
	}
	engine := &flagSet{groups: []flagGroup{{title: "options"}}, byName: map[string]*flag{}}
	for _, f := range set.flags {
		if f.group == 1 {
			g := *f
			g.group = 0
			engine.add(&g)
		}
	}
	fmt.Fprint(p.stdout, engine.argparseHelp(helpStyle{prog: "-c"}, columnsOf(p.env), nil))
	return 0
}
