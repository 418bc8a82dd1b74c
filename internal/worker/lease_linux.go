package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// leaseRecord is what a lease file says: who holds it, and where the holder's run lies.
type leaseRecord struct {
	Lease
	RunDir string `json:"run_dir"`
}

// lease is an exclusive claim on the devices of a run. Each device has one file in the lease folder, locked with flock,
// which the kernel frees however the worker dies; the JSON inside names the owner for people and for the next claimant.
type lease struct{ files []*os.File }

// leaseNames gives the lease names of a plan's devices in the order they are claimed.
func leaseNames(p *Plan) []string {
	prefix, devices := "", p.GPUs
	if p.Device == deviceCPU {
		if prefix, devices = CorePrefix, p.Cores; len(devices) == 0 {
			return []string{deviceCPU}
		}
	}
	names := make([]string, 0, len(devices))
	for _, n := range slices.Compact(slices.Sorted(slices.Values(devices))) {
		names = append(names, prefix+strconv.Itoa(n))
	}
	return names
}

// acquire claims every device or none. A device in other hands is a fault.Busy that names the owner and since when.
func acquire(dir string, names []string, rec leaseRecord) (*lease, error) {
	if err := makeLeaseDir(dir); err != nil {
		return nil, fault.Wrap(fault.Denied, err, "the lease folder %q cannot be used", dir).At("lease_dir", dir).
			Hint("make it writable for every account that runs campaigns on this host: mkdir -m 1777 %s", dir)
	}
	l := &lease{}
	for _, name := range names {
		rec.GPU = name
		if err := l.claim(dir, rec); err != nil {
			l.release()
			return nil, err
		}
	}
	logLease(dir, names, rec)
	return l, nil
}

func makeLeaseDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o777|os.ModeSticky) // the umask must not keep other accounts out
}

// leasePath is cpu-0.lease for a core and gpu-0.lease for a GPU.
func leasePath(dir, name string) string {
	if !strings.HasPrefix(name, CorePrefix) {
		name = "gpu-" + name
	}
	return filepath.Join(dir, name+".lease")
}

// leasedThing is what a lease is on, for a person, with the field that names it and what else could be named.
func leasedThing(name string) (what, field, other string) {
	if core, ok := strings.CutPrefix(name, CorePrefix); ok {
		return "core " + core, "cores", "name other cores in hosts.yaml and open a new campaign"
	}
	if name == deviceCPU {
		return "this host's cpu", "gpus", "choose another host"
	}
	return "gpu " + name, "gpus", "choose other gpus"
}

func (l *lease) claim(dir string, rec leaseRecord) error {
	path := leasePath(dir, rec.GPU)
	f, err := openLease(path)
	if err != nil {
		return fault.Wrap(fault.Denied, err, "lease file %q cannot be opened", path).At("lease_dir", dir)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if errors.Is(err, unix.EWOULDBLOCK) {
			held, _ := readLease(f)
			return busyFault(held, rec)
		}
		return fault.Wrap(fault.Denied, err, "lease file %q cannot be locked", path).At("lease_dir", dir)
	}
	if err := clearStale(f, rec); err != nil {
		_ = f.Close()
		return err
	}
	l.files = append(l.files, f)
	return writeLease(f, rec)
}

// openLease opens without O_CREATE first: in a sticky folder the kernel refuses O_CREATE on another account's file.
func openLease(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o666)
	if errors.Is(err, os.ErrExist) {
		return os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	}
	if err == nil {
		err = f.Chmod(0o666)
	}
	return f, err
}

func readLease(f *os.File) (leaseRecord, bool) {
	raw, err := io.ReadAll(io.LimitReader(io.NewSectionReader(f, 0, 1<<20), 1<<16))
	var rec leaseRecord
	return rec, err == nil && json.Unmarshal(raw, &rec) == nil && rec.RunID != ""
}

func writeLease(f *os.File, rec leaseRecord) error {
	raw, err := json.Marshal(rec)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(raw, '\n'), 0)
	}
	if err != nil {
		return fmt.Errorf("write lease: %w", err)
	}
	return nil
}

func busyFault(held, want leaseRecord) error {
	what, field, other := leasedThing(want.GPU)
	if held.RunID == "" {
		return fault.New(fault.Busy, "%s is leased by a worker that is just starting", what).ByRule("host.lease").Hint("try again in a minute")
	}
	return fault.New(fault.Busy, "%s is leased by campaign %q of %q (run %s, %s) since %s", what, cleanLine(held.Campaign, 100),
		cleanLine(held.Owner, 60), cleanLine(held.RunID, 130), held.Proc.name(), held.Since.UTC().Format(time.RFC3339)).
		ByRule("host.lease").At(field, strings.TrimPrefix(want.GPU, CorePrefix)).Hint("wait for that campaign, cancel its job, or %s", other)
}

// clearStale looks at a record whose holder died. What its engines left behind is ended where the campaign is the same;
// for another campaign's it is a refusal that names them: nobody's processes are signalled but one's own.
func clearStale(f *os.File, rec leaseRecord) error {
	old, ok := readLease(f)
	if !ok || old.RunID == rec.RunID {
		return nil
	}
	left := leftovers(old.RunDir)
	if len(left) == 0 {
		return nil
	}
	if old.Campaign == rec.Campaign && filepath.Dir(old.RunDir) == filepath.Dir(rec.RunDir) {
		if r := reap(old.RunDir); len(r.Left) == 0 {
			return nil
		}
	}
	names := make([]string, 0, len(left))
	for _, p := range left {
		names = append(names, p.name())
	}
	what, _, _ := leasedThing(rec.GPU)
	return fault.New(fault.Busy, "%s: the worker of campaign %q (run %s) died and its processes still run: %s", what,
		cleanLine(old.Campaign, 100), cleanLine(old.RunID, 130), strings.Join(names, ", ")).
		ByRule("host.lease").Hint("resume or cancel that campaign: it ends them")
}

// logLease appends to the host's lease log, by which a campaign that was abandoned stays known. A folder of another
// account's may refuse it; the lease holds all the same.
func logLease(dir string, names []string, rec leaseRecord) {
	f, err := os.OpenFile(filepath.Join(dir, leaseLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW, 0o666)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	_ = f.Chmod(0o666)
	for _, name := range names {
		rec.GPU = name
		if raw, err := json.Marshal(rec); err == nil {
			_, _ = f.Write(append(raw, '\n'))
		}
	}
}

// leaseLog is the host's lease log, and what is read of it at most: its newest bytes, and so many campaigns.
const (
	leaseLog     = "leases.jsonl"
	leaseLogTail = 8 << 20
	mostLeased   = 1000
)

// readLeaseLog lists the campaigns that ever leased a device here. Every account may write to the log: lines that are none
// are left out.
func readLeaseLog(dir string) []Leased {
	f, err := os.OpenFile(filepath.Join(dir, leaseLog), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	from := max(0, info.Size()-leaseLogTail)
	raw, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return nil
	}
	seen, out := map[Leased]bool{}, []Leased{}
	for line := range strings.Lines(string(raw)) {
		var rec leaseRecord
		if json.Unmarshal([]byte(line), &rec) != nil || rec.Campaign == "" || len(out) >= mostLeased {
			continue
		}
		if l := (Leased{Campaign: cleanLine(rec.Campaign, 100), Owner: cleanLine(rec.Owner, 60)}); !seen[l] {
			seen[l] = true
			out = append(out, l)
		}
	}
	return out
}

// release empties the records and frees the locks.
func (l *lease) release() {
	for _, f := range l.files {
		_ = f.Truncate(0)
		_ = f.Close()
	}
	l.files = nil
}

// abandon frees the locks and leaves the records: the next claimant meets what could not be stopped, by name.
func (l *lease) abandon() {
	for _, f := range l.files {
		_ = f.Close()
	}
	l.files = nil
}

// readLeases lists the leases that are held now.
func readLeases(dir string) []Lease {
	gpus, _ := filepath.Glob(leasePath(dir, "*"))
	cores, _ := filepath.Glob(leasePath(dir, CorePrefix+"*"))
	held := []Lease{}
	for _, path := range append(gpus, cores...) {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if rec, ok := readLease(f); ok && errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK) {
			held = append(held, rec.Lease)
		}
		_ = f.Close()
	}
	return held
}
