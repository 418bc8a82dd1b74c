// Builds the npm packages into dist/npm: programs by `go build` with everything that varies left out, packages by
// `npm pack`, whose archives carry no times of their own. Twice from one commit gives the same bytes.
//
//   node npm/pack.mjs VERSION
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const out = path.join(root, 'dist', 'npm');
const stage = path.join(root, 'dist', 'stage');
const version = process.argv[2];
if (!/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version ?? '')) {
  console.error(`npm/pack.mjs: ${JSON.stringify(version)} is no version; give one like 0.1.0`);
  process.exit(2);
}

const common = {
  version,
  license: 'Apache-2.0',
  homepage: 'https://github.com/sotaloop/sotaloop#readme',
  bugs: 'https://github.com/sotaloop/sotaloop/issues',
  repository: { type: 'git', url: 'git+https://github.com/sotaloop/sotaloop.git' },
};
const goArch = { x64: 'amd64', arm64: 'arm64' };
const platforms = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'];
const workers = ['x64', 'arm64'];

function build(goos, arch, to, flags) {
  mkdirSync(path.dirname(to), { recursive: true });
  const ldflags = ['-s', '-w', '-buildid=', `-X main.version=${version}`, ...flags].join(' ');
  execFileSync('go', ['build', '-trimpath', '-buildvcs=false', `-ldflags=${ldflags}`, '-o', to, './cmd/sotaloop'], {
    cwd: root, stdio: 'inherit', env: { ...process.env, CGO_ENABLED: '0', GOOS: goos, GOARCH: goArch[arch], GOFLAGS: '' },
  });
  chmodSync(to, 0o755);
}

const sha256 = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Writes one package and gives its archive's name. */
function pack(name, fields, files) {
  const dir = path.join(stage, name);
  for (const [to, from] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dir, to)), { recursive: true });
    if (from !== null) {
      copyFileSync(path.join(root, from), path.join(dir, to));
    }
  }
  copyFileSync(path.join(root, 'LICENSE'), path.join(dir, 'LICENSE'));
  writeFileSync(path.join(dir, 'package.json'), `${JSON.stringify({ name, ...common, ...fields }, null, 2)}\n`);
  const said = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', out], { cwd: dir, encoding: 'utf8' });
  const [{ filename, size, unpackedSize }] = JSON.parse(said);
  console.log(`${filename}\t${(size / 2 ** 20).toFixed(1)} MiB packed\t${(unpackedSize / 2 ** 20).toFixed(1)} MiB unpacked\tsha256 ${sha256(path.join(out, filename))}`);
}

rmSync(out, { recursive: true, force: true });
rmSync(stage, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

// Workers first: a client is built with their digests and puts nothing else on a host.
const digests = [];
for (const arch of workers) {
  const name = `sotaloop-worker-linux-${arch}`;
  const file = path.join(stage, name, 'bin', 'sotaloop');
  build('linux', arch, file, []);
  digests.push(`-X main.workerDigest${goArch[arch].toUpperCase()}=${sha256(file)}`);
  pack(name, {
    description: `sotaloop's end on Linux hosts (${arch}); the client puts it there. Not for use by itself.`,
    files: ['bin/sotaloop', 'LICENSE', 'README.md'], // no os and cpu: clients of every platform carry it
  }, { 'bin/sotaloop': null, 'README.md': 'npm/README.worker.md' });
}
for (const platform of platforms) {
  const [goos, arch] = platform.split('-');
  const name = `sotaloop-${platform}`;
  build(goos, arch, path.join(stage, name, 'bin', 'sotaloop'), digests);
  pack(name, {
    description: `The program of sotaloop for ${platform}; package sotaloop starts it.`,
    os: [goos], cpu: [arch], files: ['bin/sotaloop', 'LICENSE', 'README.md'],
  }, { 'bin/sotaloop': null, 'README.md': 'npm/README.platform.md' });
}
pack('sotaloop', {
  description: 'An MCP server with which a coding agent tunes, compares, profiles and patches LLM serving engines on GPU hosts, and cannot cheat.',
  keywords: ['mcp', 'sglang', 'vllm', 'tensorrt-llm', 'llm', 'benchmark', 'profiling', 'claude-code', 'cursor'],
  mcpName: 'io.github.sotaloop/sotaloop',
  bin: { sotaloop: 'bin/sotaloop.js' },
  engines: { node: '>=18' },
  files: ['bin/sotaloop.js', 'LICENSE', 'README.md'],
  dependencies: Object.fromEntries(workers.map((arch) => [`sotaloop-worker-linux-${arch}`, version])),
  optionalDependencies: Object.fromEntries(platforms.map((p) => [`sotaloop-${p}`, version])),
}, { 'bin/sotaloop.js': 'npm/bin/sotaloop.js', 'README.md': 'README.md' });
