package hosts

import (
	"crypto/rsa"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// algorithmPolicy is what the configuration allows; a nil list is the library's default.
type algorithmPolicy struct {
	ciphers, macs, kex, hostKeys []string
	authorities                  []string // signature algorithms of host certificates
	minRSABits                   int
}

// newAlgorithmPolicy reads the lists of algorithms. Distributions set them for every user (Fedora's crypto policy),
// so that ignoring them would weaken, and refusing them would lock out, whole machines.
func newAlgorithmPolicy(r *configReader) (algorithmPolicy, error) {
	good, weak := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	var p algorithmPolicy
	for _, list := range []struct {
		keyword    string
		dst        *[]string
		good, weak []string
	}{
		{"ciphers", &p.ciphers, good.Ciphers, weak.Ciphers},
		{"macs", &p.macs, good.MACs, weak.MACs},
		{"kexalgorithms", &p.kex, good.KeyExchanges, weak.KeyExchanges},
		{"hostkeyalgorithms", &p.hostKeys, good.HostKeys, weak.HostKeys},
		{"casignaturealgorithms", &p.authorities, good.PublicKeyAuths, weak.PublicKeyAuths},
	} {
		s, ok := r.settings[list.keyword]
		if !ok {
			continue
		}
		if *list.dst = selectAlgorithms(s.args[0], list.good, list.weak); len(*list.dst) == 0 {
			return p, r.bad(list.keyword, list.good...)
		}
	}
	bits, err := strconv.ParseUint(r.first("requiredrsasize", "1024"), 10, 16)
	if err != nil {
		return p, r.bad("requiredrsasize", "a number of bits")
	}
	p.minRSABits = int(bits)
	return p, nil
}

// selectAlgorithms applies OpenSSH's notation to the good algorithms: "+x" appends, "-x" removes, "^x" puts first,
// anything else is the whole list. A weak algorithm takes part only where it is named in full. What this client does
// not have is left out.
func selectAlgorithms(spec string, good, weak []string) []string {
	op := spec[0]
	if strings.IndexByte("+-^", op) >= 0 {
		spec = spec[1:]
	}
	var named []string
	for _, pattern := range strings.Split(spec, ",") {
		for _, a := range good {
			if matchPattern(pattern, a) {
				named = append(named, a)
			}
		}
		if slices.Contains(weak, pattern) {
			named = append(named, pattern)
		}
	}
	isNamed := func(a string) bool { return slices.Contains(named, a) }
	others := slices.DeleteFunc(slices.Clone(good), isNamed)
	switch op {
	case '+':
		return slices.Concat(good, slices.DeleteFunc(named, func(a string) bool { return slices.Contains(good, a) }))
	case '-':
		return others
	case '^':
		return append(named, others...)
	}
	return named
}

// offer gives the host key algorithms to negotiate: those of the keys that known_hosts has, if it has any, so that a
// host with several keys shows the one we can check.
func (p algorithmPolicy) offer(known []string) []string {
	allowed := p.hostKeys
	if allowed == nil {
		allowed = ssh.SupportedAlgorithms().HostKeys
	}
	if len(known) == 0 {
		return allowed
	}
	return slices.DeleteFunc(slices.Clone(allowed), func(a string) bool { return !slices.Contains(known, a) })
}

// check refuses a key that matches but is not good enough.
func (p algorithmPolicy) check(key ssh.PublicKey) error {
	if cert, ok := key.(*ssh.Certificate); ok {
		if p.authorities != nil && !slices.Contains(p.authorities, cert.Signature.Format) {
			return fmt.Errorf("certificate is signed with %s, which CASignatureAlgorithms excludes", cert.Signature.Format)
		}
		key = cert.Key
	}
	if raw, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := raw.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() < p.minRSABits {
			return fmt.Errorf("RSA key has %d bits, RequiredRSASize is %d", k.N.BitLen(), p.minRSABits)
		}
	}
	return nil
}
