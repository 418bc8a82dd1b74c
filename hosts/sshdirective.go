package hosts

import (
	"slices"
	"strings"
)

// handling is what this client does with a directive of ssh_config.
type handling int

const (
	unknown  handling = iota
	obeyed            // changes the connection, and is done
	harmless          // does not change which host is reached, who it must be, or what a command sees there
	refused           // would change that, and is not done
)

// obeyedDirectives are read and followed.
func obeyedDirectives() []string {
	return []string{
		"addressfamily", "casignaturealgorithms", "certificatefile", "ciphers", "connecttimeout", "globalknownhostsfile",
		"hostkeyalgorithms", "hostkeyalias", "hostname", "identitiesonly", "identityagent", "identityfile", "kexalgorithms",
		"macs", "port", "proxyjump", "requiredrsasize", "user", "userknownhostsfile",
	}
}

// harmlessDirectives may stand in a configuration and are not followed: they are about terminals, forwarding (this
// client forwards nothing), about what OpenSSH does on its own machine, about other ways to authenticate (this client
// uses public keys only), or they would weaken or only repeat the strict check of host keys.
func harmlessDirectives() []string {
	return []string{
		"addkeystoagent", "batchmode", "canonicaldomains", "canonicalizefallbacklocal", "canonicalizemaxdots",
		"canonicalizepermittedcnames", "challengeresponseauthentication", "channeltimeout", "checkhostip", "clearallforwardings",
		"compression", "compressionlevel", "connectionattempts", "controlmaster", "controlpath", "controlpersist", "dynamicforward",
		"enableescapecommandline", "enablesshkeysign", "escapechar", "exitonforwardfailure", "fingerprinthash",
		"forkafterauthentication", "forwardagent", "forwardx11", "forwardx11timeout", "forwardx11trusted", "gatewayports",
		"gssapiauthentication", "gssapiclientidentity", "gssapidelegatecredentials", "gssapikexalgorithms", "gssapikeyexchange",
		"gssapirenewalforcesrekey", "gssapiserveridentity", "gssapitrustdns", "hashknownhosts", "hostbasedacceptedalgorithms",
		"hostbasedauthentication", "hostbasedkeytypes", "ignoreunknown", "ipqos", "kbdinteractiveauthentication",
		"kbdinteractivedevices", "localcommand", "localforward", "loglevel", "logverbose", "nohostauthenticationforlocalhost",
		"numberofpasswordprompts", "obscurekeystroketiming", "passwordauthentication", "permitlocalcommand", "permitremoteopen",
		"protocol", "proxyusefdpass", "pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes", "rekeylimit", "remoteforward",
		"requesttty", "rhostsrsaauthentication", "rsaauthentication", "sendenv", "serveralivecountmax", "serveraliveinterval",
		"setenv", "stdinnull", "streamlocalbindmask", "streamlocalbindunlink", "stricthostkeychecking", "syslogfacility", "tag",
		"tcpkeepalive", "tunnel", "tunneldevice", "updatehostkeys", "usekeychain", "useprivilegedport", "useroaming", "usersh",
		"verifyhostkeydns", "versionaddendum", "visualhostkey", "warnweakcrypto", "xauthlocation",
	}
}

// refusedDirectives maps what is refused to the values that are fine, because they say "off" or the default.
func refusedDirectives() map[string][]string {
	return map[string][]string{
		"bindaddress": {"*"}, "bindinterface": {"none"}, "canonicalizehostname": {"no"}, "knownhostscommand": {"none"},
		"pkcs11provider": {"none"}, "preferredauthentications": {}, "proxycommand": {"none"},
		"pubkeyauthentication": {"yes", "unbound", "host-bound"}, "refuseconnection": {"none"}, "remotecommand": {"none"},
		"revokedhostkeys": {"none"}, "securitykeyprovider": {"internal"}, "sessiontype": {"default"},
	}
}

// handlingOf decides about one directive; keyword is in lower case.
func handlingOf(keyword, value string) handling {
	if slices.Contains(obeyedDirectives(), keyword) {
		return obeyed
	}
	if slices.Contains(harmlessDirectives(), keyword) {
		return harmless
	}
	fine, listed := refusedDirectives()[keyword]
	switch {
	case !listed:
		return unknown
	case slices.Contains(fine, strings.ToLower(value)):
		return harmless
	case keyword == "preferredauthentications" && slices.Contains(strings.Split(value, ","), "publickey"):
		return harmless
	}
	return refused
}
