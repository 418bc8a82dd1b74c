// Package skills ships what an agent should know before it uses the tools: one folder a skill, each with a SKILL.md whose
// front matter names it, embedded so that text and tools are always of one version.
package skills

import "embed"

//go:embed */SKILL.md
var files embed.FS

// Names lists the skills.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic("skills: the embedded folder cannot be read: " + err.Error()) // compiled in
	}
	out := make([]string, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// Text gives a skill's SKILL.md.
func Text(name string) ([]byte, error) { return files.ReadFile(name + "/SKILL.md") }
