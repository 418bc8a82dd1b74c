#!/usr/bin/env python3
"""Takes the captures that the goldens of internal/framework and internal/bench come from, of real engines on a CPU.

    capture.py ENGINES OUT [--core 0] [--port 8831] [sglang|vllm ...] [--only help,failures,serve,interval,deaths]

ENGINES holds the environments sglang/ and vllm/ and a small checkpoint model/. Nothing in it is changed. A run takes about
half an hour an engine on one quiet core. What is written under OUT names none of this machine's folders.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import threading
import time

import engines as e
import streams

INFO = {"sglang": ["/server_info", "/get_server_info", "/model_info", "/v1/models", "/version", "/metrics", "/health"],
        "vllm": ["/server_info?config_format=json", "/version", "/v1/models", "/ping", "/metrics", "/health"]}
CHILDREN = {"sglang": ["sglang::schedul", "sglang::detoken"], "vllm": ["VLLM::EngineCor", "VLLM::Worker"]}
EXIT_WAIT = 120  # seconds for an engine without a port to end: vLLM needs 12; SGLang stays


def note(engines, engine, what, **facts):
    """One line of facts.jsonl."""
    line = json.dumps({"engine": engine, "what": what, **facts}, sort_keys=True)
    with open(engines.path("facts.jsonl"), "a", encoding="utf-8") as f:
        f.write(engines.scrub(line) + "\n")


def helps(engines, engine):
    """Help and version, as the worker asks for them."""
    env = engines.env(engine, {"COLUMNS": "1000", "LC_ALL": "C", "NO_COLOR": "1", "PYTHON_COLORS": "0"})
    if engine == "sglang":
        python = engines.program(engine, "python")
        asks = {"sglang_launch_server": [python, "-m", "sglang.launch_server", "--help"], "sglang_bench_serving": [python, "-m", "sglang.bench_serving", "--help"]}
    else:
        vllm = engines.program(engine, "vllm")
        asks = {"vllm_serve_all": [vllm, "serve", "--help=all"], "vllm_serve_plain": [vllm, "serve", "--help"],
                "vllm_bench_serve_all": [vllm, "bench", "serve", "--help=all"], "vllm_version": [vllm, "--version"]}
    for name, argv in asks.items():
        began = time.time()
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, cwd=engines.out)
        engines.save(done.stdout, "help", name + ".txt")
        engines.save(done.stderr, "help", name + ".stderr.txt")
        note(engines, engine, "help", name=name, exit=done.returncode, took_s=round(time.time() - began, 1))


class Timeline:
    """Asks endpoints ten times a second and notes each change of answer."""

    def __init__(self, server, paths):
        self.server, self.lines, self.over = server, [], False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.follow, args=(p,), daemon=True) for p in paths]
        for t in self.threads:
            t.start()

    def follow(self, path):
        last = None
        while not self.over:
            began = time.time()
            status, body = self.server.ask(path, timeout=60)
            answer = status or body
            if answer != last:
                with self.lock:
                    self.lines.append({"at_s": round(began - self.server.began, 1), "took_s": round(time.time() - began, 2), "path": path, "answer": answer})
            last = answer
            time.sleep(0.1)

    def stop(self):
        self.over = True
        return sorted(self.lines, key=lambda l: l["at_s"])


def serve(engines, engine, port):
    """A whole life: start, endpoints, streams, profiles, a hang, the end by SIGTERM."""
    traces = engines.path("traces", engine, "x")[:-2]
    flags = ["--profiler-config", json.dumps({"profiler": "torch", "torch_profiler_dir": traces, "ignore_frontend": True, "max_iterations": 5})] if engine == "vllm" else []
    server = e.Server(engines, engine, port, "serve", flags)
    timeline = Timeline(server, INFO[engine])
    ok = server.ready()
    time.sleep(2)
    engines.save("".join(json.dumps(line) + "\n" for line in timeline.stop()), "timeline", engine + ".jsonl")
    note(engines, engine, "start", ready=ok, took_s=round(time.time() - server.began, 1), tree=list(server.tree().values()))
    if not ok:
        return server.end()
    for path in INFO[engine]:
        status, body = server.ask(path)
        name = path.strip("/").partition("?")[0].replace("/", "_")
        engines.save(body, "info", engine + "." + name + ".txt")
        note(engines, engine, "info", path=path, status=status, bytes=len(body))
    note(engines, engine, "streams", asked=streams.capture(engines, server))
    if engine == "vllm":
        engines.save(streams.raw(port, *streams.UNKNOWN_ID).decode(), "sse", engine, "unknown_id.http")
    profile(engines, server, traces)
    hang(engines, server)
    note(engines, engine, "flush", answer=server.ask("/flush_cache" if engine == "sglang" else "/reset_prefix_cache", method="POST"))
    return end(engines, server, signal.SIGTERM)


def profile(engines, server, traces):
    """A decode profile of five steps; how long start, stop and the writing block."""
    for run in (1, 2):
        body = json.dumps({"output_dir": traces, "num_steps": 6, "activities": ["CPU"], "with_stack": True, "record_shapes": True, "profile_by_stage": False,
                           "profile_prefix": f"decode{run}"}) if server.engine == "sglang" else None
        began = time.time()
        started = server.ask("/start_profile", body, "POST", 300)
        t_start = time.time()
        answer = server.ask(*stream_body(24), timeout=300)[0]
        t_load = time.time()
        stopped = server.ask("/stop_profile", None, "POST", 300)
        t_stop = time.time()
        alive = server.ask("/health")[0]
        files = {name: os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(traces) for name in names}
        note(engines, server.engine, "profile", start=started, stop=stopped, load=answer, start_s=round(t_start - began, 2), load_s=round(t_load - t_start, 2),
             stop_s=round(t_stop - t_load, 2), health=alive, health_s=round(time.time() - t_stop, 2), files=files)


def stream_body(n):
    path, body = streams.completions(max_tokens=n, stream=True, stream_options=streams.USAGE)
    return path, json.dumps(body)


def hang(engines, server):
    """A stopped child: what /health answers, and that it answers again."""
    for child in CHILDREN[server.engine]:
        for pid in [p for p, args in server.tree().items() if args.startswith(child)][:1]:
            os.kill(pid, signal.SIGSTOP)
            began = time.time()
            answer = server.ask("/health", timeout=45)
            took = time.time() - began
            os.kill(pid, signal.SIGCONT)
            time.sleep(1)
            note(engines, server.engine, "stopped child", child=child, health=answer, took_s=round(took, 1), after=server.ask("/health", timeout=60)[0])


def end(engines, server, sig):
    """Ends the server and notes in which order its processes went."""
    before, began, gone = server.tree(), time.time(), {}
    server.process.send_signal(sig)
    while time.time() - began < 60 and len(gone) < len(before):
        server.process.poll()
        now = server.tree()
        for pid in before:
            if pid not in now and pid not in gone:
                gone[pid] = round(time.time() - began, 1)
        time.sleep(0.05)
    code = server.process.poll()
    note(engines, server.engine, "end", signal=int(sig), exit=code, order=[[before[p][:60], gone.get(p)] for p in sorted(before, key=lambda p: gone.get(p, 999))],
         left=list(server.tree().values()))
    return server.end(limit=5)


def interval(engines, engine, port):
    """Several tokens an event; the end by SIGINT."""
    server = e.Server(engines, engine, port, "interval", ["--stream-interval", "4"])
    if server.ready():
        note(engines, engine, "streams", asked=streams.capture(engines, server, "_interval4"))
        end(engines, server, signal.SIGINT)
    server.end()


def deaths(engines, engine, port):
    """A child killed while a request runs: the answer, /health, the parent's end."""
    ways = [("kill", child) for child in CHILDREN[engine]] + ([("unknown_id", "")] if engine == "sglang" else [])
    for how, child in ways:
        name = "dead_" + (child.rpartition("::")[2] or how)
        server = e.Server(engines, engine, port, name)
        if not server.ready():
            note(engines, engine, "dead child", child=child, ready=False)
            server.end()
            continue
        server.ask(*stream_body(4))
        answers, began = {}, time.time()

        def load(answers=answers, server=server):
            body = stream_body(1500) if how == "kill" else (streams.UNKNOWN_ID[0], json.dumps(streams.UNKNOWN_ID[1]))
            status, text = server.ask(*body, timeout=90)
            answers["request"] = [status, text[-300:] if len(text) > 300 else text, round(time.time() - began, 1)]

        runner = threading.Thread(target=load, daemon=True)
        runner.start()
        time.sleep(1)
        began = time.time()
        for pid in [p for p, args in server.tree().items() if child and args.startswith(child)][:1]:
            os.kill(pid, signal.SIGKILL)
        health = []
        while time.time() - began < 60 and server.process.poll() is None:
            asked = time.time()
            status, body = server.ask("/health", timeout=30)
            if not health or health[-1][1] != (status or body):
                health.append([round(asked - began, 1), status or body, round(time.time() - asked, 1)])
            time.sleep(0.1)
        took, code = round(time.time() - began, 1), server.process.poll()
        runner.join(95)
        note(engines, engine, "dead child", child=child or how, exit=code, took_s=took, health=health, left=list(server.tree().values()), **answers)
        server.end()
        keep_log(engines, server, name)


def keep_log(engines, server, name):
    """The log as a golden."""
    engines.save(e.trimmed(server.text()), "failures", server.engine + "." + name + ".log")


def failures(engines, engine, port, only=""):
    """Launches that cannot come up; only names some of them."""
    folder = engines.path("models", "x")[:-2]
    empty, strange = os.path.join(folder, "empty"), os.path.join(folder, "strange")
    os.makedirs(empty, exist_ok=True)
    os.makedirs(strange, exist_ok=True)
    with open(os.path.join(engines.model, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    for name in os.listdir(engines.model):
        if name != "config.json" and not os.path.exists(os.path.join(strange, name)):
            os.symlink(os.path.join(engines.model, name), os.path.join(strange, name))
    config.update({"architectures": ["NoSuchForCausalLM"], "model_type": "no_such"})
    with open(os.path.join(strange, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f)
    sglang = engine == "sglang"
    cases = {
        "unknown_flag": {"flags": ["--no-such-flag", "8"]},
        "bad_type": {"flags": ["--max-running-requests", "many"] if sglang else ["--max-num-seqs", "many"]},
        "bad_enum": {"flags": ["--attention-backend", "nonsense"]},
        "bad_range": {"flags": ["--page-size", "0"] if sglang else ["--max-num-seqs", "0"]},
        "no_value": {"flags": ["--max-running-requests"] if sglang else ["--max-num-seqs"]},
        "model_absent": {"model": os.path.join(folder, "absent")},
        "model_empty": {"model": empty},
        "model_strange": {"model": strange},
        "context": {"flags": ["--context-length" if sglang else "--max-model-len", "1000000"]},
        "memory_share": {"flags": ["--mem-fraction-static", "0.001"] if sglang else ["--kv-cache-memory-bytes", str(1 << 20)]},
        "address_space": {"prefix": ["bash", "-c", "ulimit -v 5000000; exec \"$@\"", "x"]},
        "port": {"taken": True},
    }
    if not sglang:
        cases["memory_space"] = {"env": {"VLLM_CPU_KVCACHE_SPACE": "500"}}
        cases["memory_utilization"] = {"flags": ["--kv-cache-memory-bytes", "600G"]}
        cases["binding"] = {"env": {"VLLM_CPU_OMP_THREADS_BIND": "auto"}}
    if engines.cgroup:
        cases["memory_group"] = {"prefix": ["bash", "-c", f"echo $$ > {engines.cgroup}/cgroup.procs; exec \"$@\"", "x"]}
    for name, case in cases.items():
        if only and name not in only.split(","):
            continue
        taken = None
        if case.pop("taken", False):
            taken = socket.socket()
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
        server = e.Server(engines, engine, port, name, **case)
        if taken:
            code = server.wait(EXIT_WAIT)
        else:
            ok = server.ready(420)
            code = None if ok else server.wait(60)
        note(engines, engine, "failure", case=name, exit=code, took_s=round(time.time() - server.began, 1), left=list(server.tree().values()))
        server.end(limit=30)
        if taken:
            taken.close()
        keep_log(engines, server, name)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("engines")
    p.add_argument("out")
    p.add_argument("which", nargs="*", default=["sglang", "vllm"])
    p.add_argument("--core", default="")
    p.add_argument("--port", type=int, default=8831)
    p.add_argument("--cgroup", default="", help="folder of a control group whose memory is too small, for the failure memory_group")
    p.add_argument("--cases", default="", help="failures to provoke, comma-separated; all")
    p.add_argument("--only", default="help,failures,serve,interval,deaths")
    a = p.parse_intermixed_args()
    engines = e.Engines(a.engines, a.out, a.core, a.cgroup)
    for engine in a.which:
        for step in a.only.split(","):
            if step == "help":
                helps(engines, engine)
            elif step == "failures":
                failures(engines, engine, a.port, a.cases)
            else:
                {"serve": serve, "interval": interval, "deaths": deaths}[step](engines, engine, a.port)


if __name__ == "__main__":
    main()
