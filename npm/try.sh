#!/usr/bin/env bash
# Tries the packages of dist/npm as a user would who has Node and nothing else: the same bytes when built again, installed
# without scripts and without a network into an empty folder, version, server, demo; by root also as another account.
#
#   npm/try.sh VERSION
set -euo pipefail
version=$1
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packs=$PWD/dist/npm
own=linux-$(node -p process.arch)

echo "== built again"
(cd "$packs" && sha256sum -- *.tgz) >dist/first.sums
node npm/pack.mjs "$version" >/dev/null
(cd "$packs" && sha256sum --quiet -c ../first.sums) && echo "the same bytes"

try() { # try ACCOUNT: "" for the one that runs this
	local dir as=()
	dir=$(mktemp -d "${TMPDIR:-/tmp}/sotaloop-npm.XXXXXX")
	mkdir "$dir/home"
	echo '{}' >"$dir/package.json"
	cp "$packs/sotaloop-$version.tgz" "$packs/sotaloop-$own-$version.tgz" "$packs"/sotaloop-worker-*.tgz "$dir"
	if [ -n "$1" ]; then
		chown -R "$1" "$dir"
		as=(setpriv --reuid="$1" --regid="$(id -g "$1")" --clear-groups)
	fi
	local node
	node=$(dirname "$(command -v node)")
	run() { (cd "$dir" && "${as[@]}" env -i PATH="$node:/usr/bin:/bin" HOME="$dir/home" CI=true npm_config_cache="$dir/cache" "$@"); }
	echo "== ${1:-$(id -un)}: install"
	run sh -c 'npm install --loglevel error --ignore-scripts --no-audit --no-fund --offline ./*.tgz'
	run npx --no-install sotaloop --version | grep -qx "sotaloop $version"
	echo "== tools/list over stdio"
	printf '%s\n' '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"try","version":"1"}}}' \
		'{"jsonrpc":"2.0","method":"notifications/initialized"}' '{"jsonrpc":"2.0","id":2,"method":"tools/list"}' |
		run npx --no-install sotaloop serve | grep -q '"open_campaign"'
	echo "== a whole campaign"
	run npx --no-install sotaloop demo --home "$dir/demo" | tail -n 3
	rm -rf "$dir"
}
try ""
if [ "$(id -u)" = 0 ] && id nobody >/dev/null 2>&1; then
	try nobody
fi
echo "all of it works"
