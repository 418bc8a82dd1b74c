//go:build unix

package bench_test

import "syscall"

// reuseAddress lets several connections share a local port.
func reuseAddress(fd uintptr) {
	_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
}
