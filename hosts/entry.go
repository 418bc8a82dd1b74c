package hosts

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// The devices of a host.
const (
	DeviceCUDA = "cuda"
	DeviceCPU  = "cpu"
)

// HostEntry is one host of the inventory, defaults filled in.
type HostEntry struct {
	SSH      string                 `json:"ssh,omitempty"`   // alias or [user@]host[:port]; empty when Local
	Local    bool                   `json:"local,omitempty"` // this machine
	Device   string                 `json:"device"`          // DeviceCUDA (default) or DeviceCPU
	GPUs     []int                  `json:"gpus"`            // indices that campaigns may use; empty: all
	Cores    []int                  `json:"cores,omitempty"` // DeviceCPU: cores that engines run on; empty: all but the last, the load client's
	Workdir  string                 `json:"workdir"`         // default ~/sotaloop
	LeaseDir string                 `json:"lease_dir"`       // default /var/lock/sotaloop
	HFCache  string                 `json:"hf_cache"`        // default ~/.cache/huggingface
	Models   map[string]string      `json:"models"`          // model id to folder on the host
	Env      map[string]string      `json:"env"`             // variables for every engine of the host
	Secrets  []string               `json:"secrets"`         // names of variables, never values
	Engines  map[string]EngineEntry `json:"engines"`
	// TraceMiB is the size up to which a profile is fetched; nil: DefaultTraceMiB. Larger ones are analysed on the host.
	TraceMiB *int `json:"trace_mib,omitempty"`
	// ReceiptKey is the public key, as TYPE BASE64, with which the gate of the host's account signs for what it measured;
	// "" asks for no receipts.
	ReceiptKey string `json:"receipt_key,omitempty"`
}

// DefaultTraceMiB is how large profiles are fetched from a host that says nothing.
const DefaultTraceMiB = 64

// MaxTrace is the size in bytes up to which a profile is fetched from the host.
func (e HostEntry) MaxTrace() int64 {
	if e.TraceMiB != nil {
		return int64(*e.TraceMiB) << 20
	}
	return DefaultTraceMiB << 20
}

// Transport is "local" or "ssh".
func (e HostEntry) Transport() string {
	if e.Local {
		return "local"
	}
	return "ssh"
}

// Digest is the SHA-256, in hex, of the entry as JSON with sorted keys and defaults filled in. The order and the
// comments of the file do not change it.
func (e HostEntry) Digest() string {
	data, err := json.Marshal(e) // maps come out sorted
	if err != nil {
		panic("hosts: a HostEntry holds only strings, integers and booleans: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
