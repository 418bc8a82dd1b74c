// Package genuine says what an engine on a host is: which programs run, which Python distributions they load, whether the
// files of those are the ones that were installed, and what runs before them. It reads the file system and starts
// nothing: an interpreter that was tampered with is not asked about itself. It does not look at running processes.
package genuine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// Kinds of identities.
const (
	KindWheel     = "wheel"     // the engine's distribution was installed from a wheel, and its RECORD lists its files
	KindEditable  = "editable"  // the engine's package lies in a git checkout that its finder points to
	KindSimulated = "simulated" // a program that plays the engine on a simulated host
	KindNone      = "none"      // no distribution of the engine was found: what runs is not known
)

// maxNamed is how many files an identity names of each sort; the others are counted.
const maxNamed = 20

// Identity is what an engine is. It is genuine where Modified is empty.
type Identity struct {
	Kind        string         `json:"kind"`
	Prefix      string         `json:"prefix"` // folder of the environment
	Program     Program        `json:"program"`
	Interpreter *Program       `json:"interpreter,omitempty"` // of a script
	Packages    []Distribution `json:"packages"`              // the engine's own first, then what it computes with
	Others      int            `json:"others"`                // further distributions
	OthersSum   string         `json:"others_sha256"`         // over their names, versions and contents
	Files       int            `json:"files"`                 // that were compared with a digest
	Checkout    *Checkout      `json:"checkout,omitempty"`    // of an editable install
	Startup     []Startup      `json:"startup"`               // what the interpreter reads before the engine
	Modified    []string       `json:"modified"`              // why this is not what it says it is
	Notes       []string       `json:"notes"`                 // what a reader should know, and no reason for distrust
	ChangedSum  string         `json:"changed_sha256"`        // over the digests of files that differ
}

// Program is an executable file.
type Program struct {
	Path   string `json:"path"`
	Real   string `json:"real"` // with links followed
	SHA256 string `json:"sha256"`
}

// Distribution is an installed Python distribution.
type Distribution struct {
	Name    string `json:"name"` // normalised: lower case, dashes
	Version string `json:"version"`
	Record  string `json:"record_sha256"` // of its RECORD file
	// Content is the SHA-256 over the lines "path,digest" of the RECORD, sorted, without what an installer adds: scripts,
	// byte code and its own notes. The RECORD of the published wheel gives the same.
	Content  string `json:"content_sha256"`
	Editable bool   `json:"editable,omitempty"`
}

// Checkout is the git tree of an editable install.
type Checkout struct {
	Root    string   `json:"root"`
	Commit  string   `json:"commit"`
	Folders []string `json:"folders"` // of the package, relative to the root
	Changed []string `json:"changed"` // tracked files that differ from the commit, capped
	Built   []string `json:"built"`   // untracked compiled and generated files, capped
}

// Startup is a file that an interpreter reads before the engine: a .pth file, sitecustomize, usercustomize.
type Startup struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Owner  string `json:"owner,omitempty"` // distribution whose RECORD lists it
	Runs   bool   `json:"runs,omitempty"`  // it runs code; without, it adds folders to the import path
}

// Sum is the SHA-256 over everything of an identity but its paths and notes: equal for the same build at another place.
func (i *Identity) Sum() string {
	c := struct {
		Kind, Program, Interpreter string
		Packages                   []Distribution
		Others                     string
		Commit                     string
		Startup                    []Startup
		Modified                   []string
		Changed                    string
	}{Kind: i.Kind, Program: i.Program.SHA256, Others: i.OthersSum, Startup: i.Startup, Modified: i.Modified, Changed: i.ChangedSum}
	for _, d := range i.Packages {
		d.Record = "" // it names the scripts' digests, which hold the environment's path
		c.Packages = append(c.Packages, d)
	}
	if i.Interpreter != nil {
		c.Interpreter, c.Program = i.Interpreter.SHA256, "" // the script's first line is a path
	}
	if i.Checkout != nil {
		c.Commit = i.Checkout.Commit
	}
	raw, err := json.Marshal(c)
	if err != nil {
		panic("genuine: an identity holds only text: " + err.Error())
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// finish sorts and caps what an identity names.
func (i *Identity) finish() {
	for _, list := range []*[]string{&i.Modified, &i.Notes} {
		*list = capped(*list)
	}
	slices.SortFunc(i.Startup, func(a, b Startup) int { return compareText(a.Name+a.SHA256, b.Name+b.SHA256) })
	if i.Checkout != nil {
		i.Checkout.Changed, i.Checkout.Built = capped(i.Checkout.Changed), capped(i.Checkout.Built)
	}
}
