// MCP Inspector's command line: every call is a process of its own, with a server of its own.
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { play, say, want, world } from "./campaign.mjs";

const folder = dirname(createRequire(import.meta.url).resolve("@modelcontextprotocol/inspector/package.json"));
const inspector = join(folder, "clients", "launcher", "build", "index.js");

/** Runs the inspector and gives what it printed and its exit status. */
function inspect(...args) {
  return new Promise((done) => {
    execFile(process.execPath, [inspector, "--cli", ...world.server, ...args], { maxBuffer: 64 << 20 }, (error, stdout, stderr) => done({ stdout, stderr, code: error?.code ?? 0 }));
  });
}

const listed = await inspect("--method", "tools/list", "--strict");
want(listed.code === 0, `schemas that the inspector calls portable, but: ${listed.stderr}`);
say(`${JSON.parse(listed.stdout).tools.length} tools, schemas portable`);
await play(async (name, args) => {
  const pairs = Object.entries(args).map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const got = await inspect("--method", "tools/call", "--tool-name", name, ...(pairs.length ? ["--tool-arg", ...pairs] : []));
  let result;
  try {
    result = JSON.parse(got.stdout);
  } catch {
    throw new Error(`${name}: the inspector printed no result (${got.code}): ${got.stdout} ${got.stderr}`);
  }
  return { refused: result.isError === true, answer: result.structuredContent ?? JSON.parse(result.content[0].text) };
});
