package hosts

import (
	"slices"
	"strings"
)

// Launching is what decides how engines of the entry are launched, by key: the device, the variables of the host and of the
// named engine entries, names of secrets, and where those engines lie. What else an entry says (folders of ours, its address,
// other engines, checkouts) changes nothing of a measurement.
func (e HostEntry) Launching(engines ...string) map[string]string {
	secrets := slices.Clone(e.Secrets)
	slices.Sort(secrets)
	out := map[string]string{"device": e.Device, "secrets": strings.Join(secrets, ",")}
	for name, v := range e.Env {
		out["env."+name] = v
	}
	for _, entry := range engines {
		x, ok := e.Engines[entry]
		if !ok {
			continue
		}
		at := "engines." + entry + "."
		for key, v := range map[string]string{"type": x.Type, "venv": x.Venv, "image": x.Image, "command": x.Command, "package_root": x.PackageRoot, "import_name": x.ImportName} {
			if v != "" {
				out[at+key] = v
			}
		}
		for name, v := range x.Env {
			out[at+"env."+name] = v
		}
	}
	return out
}
