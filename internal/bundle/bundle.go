// Package bundle writes and reads a campaign as one file: evidence that can be carried away and checked alone. What
// the files mean is not its business.
//
// # Format
//
// A bundle is a Zstandard stream of a tar archive, so that `tar --zstd -tf` lists it. Its frames are, in order:
//
//	skippable frame  "sotaloop-bundle\n1\n"           what it is, and the version of this format
//	frame            one tar header, its file, padding  one frame a file, in the order of their names
//	…
//	frame            the two empty blocks that end a tar archive
//	skippable frame  32 bytes                         SHA-256 of all bytes of the bundle before them
//
// The bundle thus ends in the SHA-256 of everything before. All metadata is fixed (mode 0644, no owner, no time), so that
// the same files give the same bytes with the same release.
//
// A reader trusts nothing: it hashes first, streams every file once while it looks for names that leave the archive,
// names that come twice, anything that is no plain file, and sizes and ratios beyond the caps; it keeps where each frame
// lies, and unpacks a file again, into memory only, when somebody reads it. Nothing is ever written to disk.
package bundle

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Version is the newest version of the format that this release reads and the one that it writes.
const Version = 1

// Ending is the file name's ending.
const Ending = ".sotaloop"

// Caps on what a reader takes. An honest campaign stays far below each of them.
const (
	maxFiles    = 200_000
	maxFile     = 2 << 30  // bytes of one unpacked file
	maxTotal    = 16 << 30 // bytes of all unpacked files
	maxRatio    = 2000     // unpacked bytes of one packed byte, for files above freeRatio
	freeRatio   = 1 << 20
	maxWindow   = 8 << 20 // bytes of history that a frame may ask for
	blockSize   = 512     // of tar
	digestSize  = 32
	magicOurs   = 0x184D2A50 // the first of Zstandard's skippable frames
	headerSize  = 8          // of a skippable frame: magic and length
	trailerSize = headerSize + digestSize
)

// title is what the first frame says before the version.
const title = "sotaloop-bundle\n"

// corrupt is the fault of a bundle that must not be relied on.
func corrupt(format string, args ...any) *fault.Error {
	return fault.New(fault.Corrupt, "the bundle "+format, args...).
		Hint("get the bundle again from where it was made; nothing in it can be relied on")
}

// checkName refuses names that are not those of plain files below the archive's root.
func checkName(name string) error {
	switch {
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return corrupt("holds a name with control characters: %q", name)
	case name == "" || !fs.ValidPath(name) || name == "." || strings.Contains(name, `\`) || strings.Contains(name, ":"):
		return corrupt("holds the name %q, which does not stay inside", name)
	case path.Clean(name) != name:
		return corrupt("holds the name %q, which is not in its plain form", name)
	}
	return nil
}

// mustPlain is checkName for writers.
func mustPlain(name string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("%q cannot be bundled: %w", name, err)
	}
	return nil
}
