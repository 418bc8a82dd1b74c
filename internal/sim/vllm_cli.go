package sim

import (
	"fmt"
	"strings"
)

const vllmUsage = "usage: vllm serve [model_tag] [options]\n"

// runVLLM is the vllm command.
func runVLLM(p *persona, args []string) int {
	pr, _ := productOf("vllm")
	if len(args) > 0 && (args[0] == "--version" || args[0] == "-v") {
		fmt.Fprintln(p.stdout, pr.version)
		return 0
	}
	if len(args) == 0 || args[0] != "serve" {
		given := ""
		if len(args) > 0 {
			given = args[0]
		}
		fmt.Fprintf(p.stderr, "usage: vllm [-h] [-v] {serve} ...\nvllm: error: argument subparser: invalid choice: '%s' (choose from 'serve')\n", given)
		return 2
	}
	set, err := flagsOf("vllm")
	if err != nil {
		return p.fail(1, err.Error())
	}
	args = args[1:]
	for _, a := range args {
		if a == "-h" || a == "--help" || strings.HasPrefix(a, "--help=") {
			return p.vllmHelp(set, strings.TrimPrefix(strings.TrimPrefix(a, "--help"), "="))
		}
	}
	v, err := withConfigFile(set, args, dialect{abbreviate: true, underscores: true, dotted: true}, "config")
	if err != nil {
		return p.usage(vllmUsage, "vllm serve", err)
	}
	if len(v.positional) > 1 {
		return p.usage(vllmUsage, "vllm serve", &usageError{"unrecognized arguments: " + strings.Join(v.positional[1:], " ")})
	}
	if len(v.positional) == 0 {
		v.positional = []string{"Qwen/Qwen3-0.6B"} // vLLM's own default
	}
	v.given["model_tag"] = v.positional[:1]
	return launchEngine(p, "vllm", v.positional[0], v)
}

// vllmHelp prints groups only, everything, one group, or the options that match a word.
func (p *persona) vllmHelp(set *flagSet, topic string) int {
	const doc = "Launch a local OpenAI-compatible API server to serve LLM completions via HTTP. Defaults to Qwen/Qwen3-0.6B if no model is specified. Search by using: `--help=<ConfigGroup>` to explore options by section (e.g., --help=ModelConfig, --help=Frontend) Use `--help=max` to search for options that contain the word."
	const tail = "When passing JSON CLI arguments, the following sets of arguments are equivalent:\n   --json-arg '{\"key1\": \"value1\", \"key2\": {\"key3\": \"value2\"}}'\n   --json-arg.key1 value1 --json-arg.key2.key3 value2\n\nAdditionally, list elements can be passed individually using +:\n   --json-arg '{\"key4\": [\"value3\", \"value4\", \"value5\"]}'\n   --json-arg.key4+ value3 --json-arg.key4+='value4,value5'\n"
	style := helpStyle{prog: "vllm serve", usage: "[model_tag] [options]", doc: doc, sorted: true, defaults: true, tail: tail}
	columns := columnsOf(p.env)
	switch {
	case topic == "":
		fmt.Fprint(p.stdout, vllmUsage+"\n"+wrap(doc, columns-2, "")+"\n\nConfig Groups:\n  positional arguments\n")
		for _, g := range set.groups {
			fmt.Fprintf(p.stdout, "  %-26s%s\n", g.title, g.doc)
		}
		fmt.Fprint(p.stdout, "\nFor full list:            vllm serve --help=all\nFor a section:            vllm serve --help=ModelConfig    (case-insensitive)\nFor a flag:               vllm serve --help=max-model-len  (_ or - accepted)\nDocumentation:            https://docs.vllm.ai\n\n")
		return 0
	case topic == "all":
		text := set.argparseHelp(style, columns, nil)
		positional := "positional arguments:\n" + helpEntry("model_tag", "The model tag to serve (optional if specified in config) (default: None)", 24, columns) + "\n"
		fmt.Fprint(p.stdout, strings.Replace(text, "options:\n", positional+"options:\n", 1))
		return 0
	}
	for i, g := range set.groups {
		if strings.EqualFold(g.title, topic) {
			fmt.Fprint(p.stdout, set.argparseHelp(helpStyle{prog: style.prog, usage: style.usage, sorted: true, defaults: true}, columns, func(f *flag) bool { return f.group == i }))
			return 0
		}
	}
	return p.vllmSearch(set, topic, columns)
}

func (p *persona) vllmSearch(set *flagSet, topic string, columns int) int {
	word := strings.ReplaceAll(topic, "_", "-")
	found := &flagSet{groups: []flagGroup{{title: fmt.Sprintf("Arguments matching '%s'", topic)}}, byName: map[string]*flag{}}
	for _, f := range set.flags {
		if strings.Contains(f.longest(), word) {
			g := *f
			g.group = 0
			found.add(&g)
		}
	}
	if len(found.flags) == 0 {
		fmt.Fprintf(p.stdout, "No group or arguments matching '%s'. Use `--help=all` to see all available arguments.\n", topic)
		return 0
	}
	fmt.Fprint(p.stdout, found.argparseHelp(helpStyle{prog: "vllm serve", usage: "[model_tag] [options]", sorted: true, defaults: true}, columns, func(*flag) bool { return true }))
	return 0
}
