#!/usr/bin/env node
// Starts the program of this platform. It comes as an optional dependency with exactly this version, so nothing is
// downloaded when it runs; where it is missing, the message says how to get it. The workers for Linux hosts come as
// ordinary dependencies: a client on any platform carries them.
'use strict';

const { spawn } = require('node:child_process');
const { constants } = require('node:os');
const path = require('node:path');

const platforms = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'];
const platform = `${process.platform}-${process.arch}`;

/** The file of another package beside this one, or undefined where that package is not installed. */
function find(name, file) {
  try {
    return path.join(path.dirname(require.resolve(`${name}/package.json`)), file);
  } catch {
    return undefined;
  }
}

function fail(...lines) {
  process.stderr.write(lines.map((line) => `${line}\n`).join(''));
  process.exit(1);
}

if (!platforms.includes(platform)) {
  fail(`sotaloop: there is no program for ${platform}, only for ${platforms.join(', ')}`);
}
const program = find(`sotaloop-${platform}`, 'bin/sotaloop');
if (program === undefined) {
  fail(`sotaloop: package sotaloop-${platform} is not installed`,
    '  hint: it is an optional dependency; install again without --omit=optional and without --no-optional');
}

const env = { ...process.env };
for (const arch of ['x64', 'arm64']) {
  const worker = find(`sotaloop-worker-linux-${arch}`, 'bin/sotaloop');
  const name = `SOTALOOP_WORKER_${arch.toUpperCase()}`;
  if (worker !== undefined && env[name] === undefined) {
    env[name] = worker;
  }
}
env.SOTALOOP_LAUNCHER = __filename; // what `install` writes into clients' configuration

const child = spawn(program, process.argv.slice(2), { stdio: 'inherit', env });
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'].filter((s) => s in constants.signals);
for (const signal of signals) {
  // A terminal sends its signals to the child as well; what a client sends to this process is passed on.
  process.on(signal, () => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) {
      child.kill(signal);
    }
  });
}
child.on('error', (err) => fail(`sotaloop: cannot start ${program}: ${err.message}`,
  '  hint: the file must be executable; npm keeps the mode, some unpackers do not'));
child.on('exit', (code, signal) => {
  if (signal === null) {
    process.exit(code);
  }
  for (const s of signals) {
    process.removeAllListeners(s);
  }
  process.kill(process.pid, signal);
});
