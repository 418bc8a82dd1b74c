package bench

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// resolver turns a host's name into addresses, once a point.
type resolver struct {
	lookup func(ctx context.Context, host string) ([]string, error) // nil asks the system

	mu    sync.Mutex
	found []string
	spent time.Duration // on all attempts
}

// addresses gives the host's addresses with the port, IPv4 first: engines listen there. A failed attempt is not kept.
func (r *resolver) addresses(ctx context.Context, hostPort string) ([]string, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{hostPort}, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.found) > 0 {
		return r.found, nil
	}
	lookup, began := r.lookup, time.Now()
	if lookup == nil {
		lookup = net.DefaultResolver.LookupHost
	}
	names, err := lookup(ctx, host)
	r.spent += time.Since(began)
	if err == nil && len(names) == 0 {
		err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	if err != nil {
		return nil, err
	}
	var six []string
	for _, name := range names {
		if at, err := netip.ParseAddr(name); err == nil && at.Is4() {
			r.found = append(r.found, net.JoinHostPort(name, port))
		} else {
			six = append(six, net.JoinHostPort(name, port))
		}
	}
	r.found = append(r.found, six...)
	return r.found, nil
}

// took is how long resolving took, in milliseconds; nil where nothing was resolved.
func (r *resolver) took() *float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spent == 0 {
		return nil
	}
	return ptr(ms(r.spent))
}
