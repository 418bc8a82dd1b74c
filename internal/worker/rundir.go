package worker

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Names in a run folder.
const (
	runsDir       = "runs"
	inboxDir      = "inbox"
	launchesDir   = "launches"
	planFile      = "plan.json"
	eventsFile    = "events.jsonl"
	heartbeatFile = "heartbeat.json"
	progressFile  = "progress.json"
	procsFile     = "procs.jsonl"  // every engine process that was seen
	workerFile    = "worker.json"  // the worker's own Proc
	lockFile      = "run.lock"     // locked by the worker while it lives
	cancelFile    = "cancel.json"  // written by VerbCancel
	refusedFile   = "refused.json" // why the worker did not begin
	finalFile     = "final.json"   // the end, where it could not be appended to the events
	reserveFile   = "reserve"      // space that is given back when the disk is full, so that the end can be written
)

// idPattern is what ids of runs, launches, points and captures look like: they are names of files.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@+=,-]{0,120}$`)

func checkID(field, id string) error {
	if !idPattern.MatchString(id) || strings.Contains(id, "..") {
		return fault.New(fault.InvalidInput, "%s %q is not an id: it must match %s", field, id, idPattern).At(field, id)
	}
	return nil
}

// runPath gives a run's folder; workdir is absolute.
func runPath(workdir, runID string) (string, error) {
	if err := checkID("run_id", runID); err != nil {
		return "", err
	}
	return filepath.Join(workdir, runsDir, runID), nil
}

// expand resolves "~" against home and refuses what is not absolute then.
func expand(path, home string) (string, error) {
	if path == "~" {
		path = home
	} else if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(path) {
		return "", fault.New(fault.InvalidInput, "path %q is not absolute", path).At("path", path).Hint(`begin it with "/" or "~/"`)
	}
	return filepath.Clean(path), nil
}

// replaceFile writes data beside path and renames it there, durably: a reader sees the old file or the new one.
func replaceFile(path string, data []byte) error { return swapFile(path, data, (*os.File).Sync) }

// refreshFile is replaceFile for what may be lost with the machine's power.
func refreshFile(path string, data []byte) error {
	return swapFile(path, data, func(*os.File) error { return nil })
}

func swapFile(path string, data []byte, settle func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = settle(f)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func replaceJSON(path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return replaceFile(path, append(raw, '\n'))
}

func refreshJSON(path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return refreshFile(path, append(raw, '\n'))
}

// readJSON reads a small file of ours; a missing one is fs.ErrNotExist.
func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// readLines gives the complete lines of a file; what follows the last line feed is torn and left out.
func readLines(path string) [][]byte {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	end := bytes.LastIndexByte(raw, '\n')
	if end < 0 {
		return nil
	}
	return bytes.Split(raw[:end], []byte{'\n'})
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// makeOnce makes a folder with its parents and says whether it was this call that made it.
func makeOnce(dir string, mode fs.FileMode) (made bool, err error) {
	if err := os.MkdirAll(filepath.Dir(dir), mode); err != nil {
		return false, err
	}
	err = os.Mkdir(dir, mode)
	if os.IsExist(err) {
		return false, nil
	}
	return err == nil, err
}
