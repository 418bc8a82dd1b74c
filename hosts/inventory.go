package hosts

import (
	_ "embed"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/yamlfile"
)

//go:embed hosts.schema.json
var inventorySchema string

// Inventory is the engineer's hosts.yaml.
type Inventory struct {
	File  string // where it was read, for messages
	Hosts map[string]HostEntry
}

// ReadInventory reads the file at path. A missing file is an inventory without hosts.
func ReadInventory(path string) (*Inventory, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Inventory{File: path, Hosts: map[string]HostEntry{}}, nil
	}
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "cannot read the hosts file").At(path, path)
	}
	return ParseInventory(data, path)
}

// ParseInventory reads hosts.yaml from data; file names it in messages. The first defect is a
// [fault.InvalidInput] whose Field is file:line:column. Empty data is an inventory without hosts.
func ParseInventory(data []byte, file string) (*Inventory, error) {
	inv := &Inventory{File: file, Hosts: map[string]HostEntry{}}
	w := &walker{&yamlfile.Walker{File: file, One: "keep all hosts under one \"hosts\" key"}}
	root := w.Parse(data)
	if root != nil {
		w.Mapping(root, "the hosts file", yamlfile.Fields{"hosts": w.Each("hosts", checkName, w.host(inv.Hosts))})
	}
	if err := w.Err(); err != nil {
		return nil, err
	}
	return inv, nil
}

// Names gives the names of the hosts, sorted.
func (inv *Inventory) Names() []string { return slices.Sorted(maps.Keys(inv.Hosts)) }

// Host finds a host by name. An unknown name is a [fault.NotFound] that lists the known ones.
func (inv *Inventory) Host(name string) (HostEntry, error) {
	if e, ok := inv.Hosts[name]; ok {
		return e, nil
	}
	names := inv.Names()
	err := fault.New(fault.NotFound, "no host %q in %s", name, inv.File).At("host", name, names...)
	if near := fault.Nearest(name, names); near != "" {
		return HostEntry{}, err.Hint("did you mean %q?", near)
	}
	if checkName(name) != "" { // not into a command that somebody may copy
		name = "NAME"
	}
	return HostEntry{}, err.Hint("add it with `sotaloop hosts add %s --ssh ALIAS`, or by hand to %s", name, inv.File)
}

// Schema is the JSON Schema (draft 2020-12) of hosts.yaml.
func (inv *Inventory) Schema() []byte { return []byte(inventorySchema) }
