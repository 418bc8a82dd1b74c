package discover

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Target is how a host is reached, and how it came to be trusted.
type Target struct {
	Name  string
	SSH   string // "" for this machine
	Route string // what the alias leads to: user@host:port
	Key   string // type and fingerprint of the host key that was accepted
}

// Propose makes an entry of what was found. Nothing is asked any more.
func Propose(f *Found, t Target) Entry {
	e := Entry{Name: t.Name, tilde: f.tilde}
	if t.SSH == "" {
		e.line("local", "true", "this machine: "+f.words())
	} else {
		e.line("ssh", scalar(t.SSH), strings.TrimSuffix(fmt.Sprintf("%s, host key %s; %s", t.Route, t.Key, f.words()), "; "))
	}
	gpus := f.device(&e)
	f.workdir(&e)
	f.leases(&e)
	f.cached(&e)
	if len(f.Secrets) > 0 {
		e.line("secrets", list(f.Secrets), "set in a login without a terminal; values stay on the host")
	}
	f.checkpoints(&e)
	f.engines(&e, t.SSH == "", gpus)
	f.scheduler(&e, t, gpus)
	for _, c := range f.Containers {
		e.Also = append(e.Also, "A container runs: "+c+". Engines inside of running containers are not used; name their environment or image.")
	}
	for _, name := range sortedKeys(f.Denied) {
		e.Notes = append(e.Notes, name+" is there and could not be asked: "+f.Denied[name])
	}
	for _, what := range f.Cut {
		e.Notes = append(e.Notes, "the search for "+what+" was cut when its time was up; there may be more")
	}
	return e
}

func (e *Entry) line(key, value, why string) { e.Lines = append(e.Lines, Line{key, value, why}) }

// words says what machine it is.
func (f *Found) words() string {
	return strings.Join([]string{strings.TrimSpace(fault.ForeignName(f.OS, 40) + " " + fault.ForeignName(f.Version, 40)), fault.ForeignName(f.Machine, 20), fmt.Sprintf("%d cores", f.Cores), size(f.MemoryMiB)}, ", ")
}

// device chooses the device and the GPUs of the most frequent kind.
func (f *Found) device(e *Entry) (gpus bool) {
	if len(f.GPUs) == 0 {
		if f.GPUError != nil {
			e.line("device", "cuda", "nvidia-smi is there and does not answer: "+f.GPUError.Error())
			return true
		}
		e.line("device", "cpu", "there is no nvidia-smi; what is measured here supports no claim about GPUs")
		return false
	}
	kinds := map[string][]int{}
	best := ""
	for _, g := range f.GPUs {
		kind := hosts.DeviceName(g.Name)
		if g.MemoryTotalMiB != nil {
			kind += ", " + size(*g.MemoryTotalMiB)
		}
		kinds[kind] = append(kinds[kind], g.Index)
		if best == "" || len(kinds[kind]) > len(kinds[best]) {
			best = kind
		}
	}
	e.line("device", "cuda", fmt.Sprintf("nvidia-smi lists %d GPUs, driver %s", len(f.GPUs), fault.ForeignName(f.GPUs[0].DriverVersion, 40)))
	why := fmt.Sprintf("%d × %s", len(kinds[best]), best)
	if len(kinds) > 1 {
		why += "; the others are of another kind"
	}
	var used []int
	for _, g := range f.GPUs {
		if g.IsUsed() && slices.Contains(kinds[best], g.Index) {
			used = append(used, g.Index)
		}
	}
	if len(used) > 0 {
		why += fmt.Sprintf("; in use now: %s", strings.Trim(list(used), "[]"))
	}
	e.line("gpus", list(kinds[best]), why)
	return true
}

// enoughMiB is what a campaign's records and caches should find free.
const enoughMiB = 20 << 10

// network are file systems that other machines write too.
var network = []string{"nfs", "nfs4", "lustre", "beegfs", "gpfs", "ceph", "cifs", "smb2", "afs", "wekafs", "fuseblk"}

func (d disk) isNetwork() bool {
	return slices.Contains(network, d.kind) || strings.Contains(d.device, ":")
}

func (d disk) words() string {
	kind := cmp.Or(d.kind, "disk")
	return fmt.Sprintf("%s free on %s (%s)", size(d.freeMiB), fault.ForeignName(d.mount, 80), fault.ForeignName(kind, 20))
}

// workdir chooses a folder with room: the home folder where it has some and is the host's own, else the largest disk.
func (f *Found) workdir(e *Entry) {
	var home, best *disk
	for i, d := range f.Disks {
		switch {
		case d.dir == f.Home:
			home = &f.Disks[i]
		case home != nil && d.mount == home.mount || !d.writable || d.isNetwork() || d.kind == "tmpfs" || d.dir == "/tmp" || strings.HasPrefix(d.dir, "/tmp/") || !usable(d.dir):
		case best == nil || d.freeMiB > best.freeMiB || d.freeMiB == best.freeMiB && len(d.dir) > len(best.dir):
			best = &f.Disks[i]
		}
	}
	switch {
	case home == nil && best == nil:
		e.line("workdir", "~/sotaloop", "the default; how much is free there could not be read")
	case best == nil || home != nil && (home.freeMiB >= enoughMiB && !home.isNetwork() || best.freeMiB < max(enoughMiB, home.freeMiB)):
		why := home.words()
		if home.isNetwork() {
			why += "; no disk of the host's own has more"
		}
		e.line("workdir", "~/sotaloop", why)
	default:
		why := best.words()
		if home != nil {
			why += "; the home folder has " + home.words()
		}
		e.line("workdir", scalar(f.tilde(best.dir)+"/sotaloop"), why)
	}
}

// leases chooses where leases lie: one folder for all accounts.
func (f *Found) leases(e *Entry) {
	const standard = "/var/lock/sotaloop"
	switch {
	case f.Writable[standard]:
		e.line("lease_dir", standard, "is there and can be written: one for all accounts of the host")
	case f.Writable["/var/lock"]:
		e.line("lease_dir", standard, "the default: one for all accounts of the host; made with the first lease")
	default:
		e.line("lease_dir", "/tmp/sotaloop-leases", "/var/lock cannot be written; better: sudo install -d -m 1777 "+standard)
	}
}

// cached chooses the Hugging Face cache.
func (f *Found) cached(e *Entry) {
	const standard = "~/.cache/huggingface"
	best, why := -1, "the largest found"
	for i, c := range f.Caches {
		switch said := strings.TrimSuffix(cmp.Or(f.Variable["HF_HUB_CACHE"], f.Variable["HF_HOME"]+"/hub"), "/hub"); {
		case said != "" && path.Clean(said) == c.dir:
			best, why = i, "named by the login's HF_HOME or HF_HUB_CACHE"
		case best < 0 || len(c.complete) > len(f.Caches[best].complete) && why == "the largest found":
			best = i
		}
	}
	if best < 0 {
		return
	}
	c := f.Caches[best]
	if !usable(c.dir) {
		e.Notes = append(e.Notes, "a Hugging Face cache has a name that hosts.yaml cannot hold")
		return
	}
	for i, other := range f.Caches {
		if i != best {
			e.Notes = append(e.Notes, fmt.Sprintf("another Hugging Face cache: %s, %d complete models", fault.ForeignName(other.dir, 200), len(other.complete)))
		}
	}
	why = fmt.Sprintf("%s: %d complete", why, len(c.complete))
	if c.partial > 0 {
		why += fmt.Sprintf(", %d without weights", c.partial)
	}
	var names []string
	for _, n := range c.complete[:min(3, len(c.complete))] {
		names = append(names, fault.ForeignName(n, 60))
	}
	if len(names) > 0 {
		why += " (" + strings.Join(names, ", ") + strings.Repeat(", …", min(1, len(c.complete)-len(names))) + ")"
	}
	if dir := f.tilde(c.dir); dir != standard || len(c.complete) > 0 {
		e.line("hf_cache", scalar(dir), why)
	}
}

// generic are names of folders that say nothing of whose a model is.
var generic = []string{"models", "model", "hub", "weights", "checkpoints", "ckpt", "ckpts", "data", "huggingface", "hf", "llm", "llms", "home", "root", "mnt", "opt", "srv", "scratch", "workspace", "tmp", "local", "share", "shared"}

// maxModels bounds what is written.
const maxModels = 40

// checkpoints names folders with models outside of the cache.
func (f *Found) checkpoints(e *Entry) {
	taken := map[string]bool{}
	for _, m := range f.Models {
		id := path.Base(m.dir)
		if parent := path.Base(path.Dir(m.dir)); !slices.Contains(generic, strings.ToLower(parent)) && parent != f.User && !strings.HasPrefix(parent, ".") && path.Dir(m.dir) != f.Home && path.Dir(m.dir) != f.RealHome {
			id = parent + "/" + id
		}
		switch {
		case !usable(m.dir) || !usable("/"+id):
			e.Notes = append(e.Notes, "a model's folder has a name that hosts.yaml cannot hold")
		case m.absent > 0:
			e.Notes = append(e.Notes, fmt.Sprintf("%s is not complete: %d of the files that its index names are missing", fault.ForeignName(m.dir, 200), m.absent))
		case taken[id]:
			e.Notes = append(e.Notes, fmt.Sprintf("%s would be %s too", fault.ForeignName(m.dir, 200), fault.ForeignName(id, 80)))
		case len(e.Models) == maxModels:
			e.Notes = append(e.Notes, fmt.Sprintf("%d models are written, there are more", maxModels))
			return
		default:
			taken[id] = true
			e.Models = append(e.Models, Line{scalar(id), scalar(f.tilde(m.dir)), fmt.Sprintf("%d safetensors, %s; the id is a guess by the folder's name", m.files, size(m.bytes>>20))})
		}
	}
}

// tilde writes paths below the account's home with ~.
func (f *Found) tilde(p string) string {
	for _, home := range []string{f.Home, f.RealHome} {
		if rest, ok := strings.CutPrefix(p, home+"/"); ok && home != "" && home != "/" {
			return "~/" + rest
		}
	}
	return p
}

// size writes MiB as a person reads them.
func size(mib int64) string {
	switch {
	case mib >= 1<<20:
		return fmt.Sprintf("%.1f TiB", float64(mib)/(1<<20))
	case mib >= 10<<10:
		return fmt.Sprintf("%d GiB", mib>>10)
	case mib >= 1<<10:
		return fmt.Sprintf("%.1f GiB", float64(mib)/(1<<10))
	}
	return fmt.Sprintf("%d MiB", mib)
}
