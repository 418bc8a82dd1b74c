package contract

import "regexp"

// snapshotOf is the revision that a folder of the Hugging Face cache is of.
var snapshotOf = regexp.MustCompile(`/snapshots/([0-9a-f]{40})/?$`)

// Checkpoint names what lies in the model's folder, as id@revision where the folder is a snapshot of the Hugging Face
// cache; another goes by the identity of its files, code included. The revision that a caller said decides nothing.
func (m Model) Checkpoint() string {
	if found := snapshotOf.FindStringSubmatch(m.Path); found != nil {
		return m.ID + "@" + found[1]
	}
	return m.ID + "@" + m.Identity[:min(16, len(m.Identity))]
}
