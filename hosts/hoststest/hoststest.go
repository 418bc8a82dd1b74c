// Package hoststest holds the conformance suite that every transport of package hosts passes, and what it takes to run
// it without a network: an SSH server in this process, an OpenSSH server of one's own, and a client's home folder.
package hoststest

import (
	"testing"

	"github.com/sotaloop/sotaloop/hosts"
)

// NewConn makes a connection to a host on which the suite may run harmless commands and write below its temporary
// folder. It closes the connection, by t.Cleanup, if the suite has not done so.
type NewConn func(t *testing.T) hosts.Conn

// Conform runs the suite against a transport. Everything is observed through the connection itself, so that the host
// may be anywhere; it needs a POSIX shell, coreutils and /proc.
func Conform(t *testing.T, newConn NewConn) {
	t.Helper()
	for _, part := range []struct {
		name string
		test func(*testing.T, NewConn)
	}{
		{"run", conformRun}, {"arguments", conformArguments}, {"streams", conformStreams}, {"folder", conformFolder},
		{"refusals", conformRefusals}, {"start", conformStart}, {"upload", conformUpload}, {"download", conformDownload},
		{"cancel", conformCancel}, {"concurrent", conformConcurrent}, {"close", conformClose},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.test(t, newConn)
		})
	}
}
