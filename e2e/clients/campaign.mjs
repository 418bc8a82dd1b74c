// A whole campaign by tool calls, as an agent would play it that knows nothing but what answers and refusals say. How a call
// reaches the server is the client's business; approving is the engineer's, with ssh-keygen and the program, by no tool.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** What the test laid out: the server's command, the terms, the patch, the engineer's key. */
export const world = JSON.parse(readFileSync(process.argv[2], "utf8"));

const calls = {};

/** Prints a line with the time since the start. */
export function say(text) {
  console.log(`${(performance.now() / 1000).toFixed(1).padStart(6)}s ${text}`);
}

/** Fails with what was expected. */
export function want(truth, what) {
  if (!truth) throw new Error(`expected ${what}`);
}

/**
 * Plays the campaign. call(tool, args) gives {refused, answer}, the answer parsed.
 */
export async function play(call) {
  let campaign;
  const timed = async (tool, args) => {
    const began = performance.now();
    const all = campaign && tool !== "list_hosts" ? { campaign, ...args } : args;
    const got = await call(tool, all);
    const seen = (calls[tool] ??= { calls: 0, ms: 0, worst: 0 });
    const took = performance.now() - began;
    Object.assign(seen, { calls: seen.calls + 1, ms: seen.ms + took, worst: Math.max(seen.worst, took) });
    return got;
  };
  const ask = async (tool, args = {}) => {
    const { refused, answer } = await timed(tool, args);
    want(!refused, `${tool} to be answered, but: ${JSON.stringify(answer)}`);
    return answer;
  };
  const wait = async (job) => {
    for (;;) {
      const got = await ask("wait_job", { job, timeout_s: 20 });
      if (got.state !== "running" && got.state !== "waiting_for_human") return got;
    }
  };
  const job = async (tool, args) => {
    for (;;) {
      const got = await ask(tool, args);
      if (got.state !== "running") return got;
      await wait(got.job);
    }
  };

  const { hosts } = await ask("list_hosts", { refresh: true });
  want(hosts.length === 1 && hosts[0].state === "ok", `one host that is ok, got ${JSON.stringify(hosts)}`);
  const opened = await ask("open_campaign", world.terms);
  campaign = opened.campaign;
  say(`campaign ${campaign}, contract ${opened.contract_digest.slice(0, 16)}`);

  const best = {};
  for (const framework of ["sglang", "vllm"]) {
    await job("list_flags", { framework, match: "attention" });
    best[framework] = (await job("search_deployments", { framework, ...world.spaces[framework] })).best;
    say(`best of ${framework}: ${best[framework]}`);
  }
  await job("run_benchmark", { candidates: [best.sglang, best.vllm], blocks: 6 });
  const { verdicts } = await ask("compare_results");
  want(verdicts.length === 1, "one verdict");
  say(`verdict: ${verdicts[0].verdict}, ratio ${verdicts[0].ratio.toFixed(3)}`);

  await job("capture_profile", { candidate: best.sglang, scenario: "chat" });
  await job("capture_profile", { candidate: best.sglang, scenario: "chat", mapping: true });
  await job("capture_profile", { candidate: best.vllm, scenario: "chat" });
  const { items } = await ask("get_campaign", { section: "traces" });
  const trace = items.find((t) => t.candidate === best.sglang && t.stage === "decode" && !t.mapping).trace;
  const table = await job("analyze_trace", { trace, stage: "decode" });
  const ours = table.rows.filter((r) => world.file.endsWith((r.locations?.[0] ?? "?").split(" ")[0].split(":")[0]));
  want(ours.length > 0, `rows launched from ${world.file}`);
  const share = ours.reduce((sum, r) => sum + r.share, 0);
  say(`${ours.length} rows, ${(100 * share).toFixed(1)} % of decode, come from ${world.file}`);

  const proposed = await ask("propose_patch", {
    diff: world.diff, rows: ours.map((r) => r.id), stage: "decode", location: ours[0].locations[0].split(" ")[0],
    symptom: { scenario: "chat", metric: "tpot_ms" }, predicted_gain: 1 / (1 - 0.8 * share) - 1, rationale: "Fuse the query/key norms with the rotary embedding.",
  });
  const early = await timed("apply_patch_branch", { proposal: proposed.proposal });
  want(early.refused && early.answer.rule && early.answer.hints.length, "the branch to be refused before a human approved");
  say(`refused by ${early.answer.rule} until a human approved`);
  approve(campaign, proposed.proposal);
  await wait(proposed.job);
  const applied = await ask("apply_patch_branch", { proposal: proposed.proposal });
  say(`branch ${applied.branch}`);

  const again = await job("revalidate", { proposal: proposed.proposal });
  say(`predicted ${(100 * again.predicted).toFixed(1)} %, measured ${(100 * again.measured).toFixed(1)} %, ${again.verdict}`);
  const report = await ask("write_report");
  const totals = Object.values(calls).reduce((n, c) => n + c.calls, 0);
  for (const [tool, c] of Object.entries(calls)) say(`  ${tool.padEnd(20)} ${String(c.calls).padStart(3)} calls, ${(c.ms / c.calls).toFixed(0)} ms each, worst ${c.worst.toFixed(0)} ms`);
  say(`${totals} calls; verdict ${report.verdict}`);
  console.log(JSON.stringify({ campaign, run_dir: opened.run_dir, before: verdicts[0].verdict, after: report.verdict, measured: again.measured, calls: totals }));
}

/** The engineer, on another terminal: reads the statement, signs its bytes, hands the signature in. */
function approve(campaign, proposal) {
  const run = (program, ...args) => execFileSync(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  const statement = `${world.folder}/${proposal}.json`;
  run(world.program, "approve", campaign, proposal, "--home", world.home, "--export", statement, "--principal", world.principal);
  run("ssh-keygen", "-q", "-Y", "sign", "-n", "sotaloop-approval", "-f", world.key, statement);
  run(world.program, "approve", "--home", world.home, "--import", `${statement}.sig`);
  say(`${world.principal} signed ${proposal} with ssh-keygen`);
}
