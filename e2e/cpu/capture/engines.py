"""How the two engines are started on a CPU: as the adapters in internal/framework launch them."""

import http.client
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

SERVED = "tiny"
CONTEXT = 2048


class Engines:
    """A folder that holds the environments sglang/ and vllm/ and the checkpoint model/, and where captures go."""

    def __init__(self, folder, out, core="", cgroup=""):
        self.folder, self.out, self.core, self.cgroup = os.path.abspath(folder), os.path.abspath(out), core, cgroup
        os.makedirs(self.out, exist_ok=True)

    @property
    def model(self):
        return os.path.join(self.folder, "model")

    def env(self, engine, extra=None):
        """The environment of a launch: built from nothing, as the worker does."""
        home = os.path.join(self.out, "caches")
        os.makedirs(home, exist_ok=True)
        env = {
            "PATH": os.path.join(self.folder, engine, "bin") + ":/usr/local/bin:/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1",
            "TORCHINDUCTOR_CACHE_DIR": home + "/inductor",
        }
        if engine == "sglang":
            env.update({"SGLANG_USE_CPU_ENGINE": "1", "SGLANG_USE_MODELSCOPE": "false", "SGLANG_CACHE_DIR": home + "/sglang",
                        "SGLANG_CUDA_COREDUMP_BEFORE_CRASH": "false"})
        else:
            env.update({"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_USE_MODELSCOPE": "False",
                        "VLLM_CACHE_ROOT": home + "/vllm", "VLLM_CPU_OMP_THREADS_BIND": "nobind"})
        env.update(extra or {})
        return env

    def program(self, engine, name):
        return os.path.join(self.folder, engine, "bin", name)

    def argv(self, engine, port, flags=(), model=None):
        """A launch's command line; flags come last, and replace the defaults that they name."""
        model = model or self.model
        if engine == "sglang":
            argv = [self.program(engine, "python"), "-m", "sglang.launch_server", "--model-path", model]
            ours = {"--served-model-name": SERVED, "--host": "127.0.0.1", "--port": str(port), "--dtype": "bfloat16",
                    "--context-length": str(CONTEXT), "--random-seed": "1", "--device": "cpu", "--max-total-tokens": "65536"}
        else:
            argv = [self.program(engine, "vllm"), "serve", model]
            ours = {"--served-model-name": SERVED, "--host": "127.0.0.1", "--port": str(port), "--dtype": "bfloat16",
                    "--max-model-len": str(CONTEXT), "--seed": "1", "--kv-cache-memory-bytes": str(1 << 30)}
        for name, value in ours.items():
            if name not in flags:
                argv += [name, value]
        return argv + list(flags)

    def scrub(self, text):
        """Takes the machine's own names out of a text."""
        for folder, name in ((self.out, "/captures"), (self.folder, "/engines"), (os.path.realpath(self.folder), "/engines")):
            text = re.sub(re.escape(folder) + r"(?![A-Za-z0-9_.-])", name, text)
        text = text.replace(socket.gethostname(), "host")
        text = re.sub(r"/root/\.pyenv/versions/[0-9.]+", "/python", text)
        text = re.sub(r"(?<!\w)(?:/home/[A-Za-z0-9_.-]+|/root(?=/))", "/home/user", text)
        return re.sub(r"\b(?!127\.|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}\b(?!\.\d)", "192.0.2.1", text)

    def path(self, *parts):
        path = os.path.join(self.out, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def save(self, text, *parts):
        with open(self.path(*parts), "w", encoding="utf-8") as f:
            f.write(self.scrub(text))


# FRAME is a line of a traceback that names a place: what is raised stands below it.
FRAME = re.compile(r"(?:^|\] |\) )\s+(?:File \"|[~^]+|\S.*$)")
NOISE = re.compile(r'"GET /|^\s+\[--|Endpoint .* is deprecated|Prefill batch|Decode batch|Route: /')


def trimmed(log):
    """A log without the frames of its tracebacks, usage lines, batches and endpoints asked, its lines cut to 600 characters."""
    kept, inside = [], False
    for line in log.splitlines():
        if "Traceback (most recent call last)" in line:
            inside = True
        elif inside and FRAME.search(line):
            continue
        else:
            inside = False
        if not NOISE.search(line):
            kept.append(line[:600])
    return "\n".join(kept) + "\n"


class Server:
    """One launch with its log."""

    def __init__(self, engines, engine, port, name, flags=(), model=None, env=None, prefix=()):
        self.engine, self.port, self.name = engine, port, name
        self.log = engines.path("logs", engine + "." + name + ".log")
        self.began = time.time()
        core = ["taskset", "-c", engines.core] if engines.core else []
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                core + list(prefix) + engines.argv(engine, port, flags, model), env=engines.env(engine, env), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True, cwd=engines.out)

    def text(self):
        with open(self.log, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def ask(self, path, body=None, method=None, timeout=60):
        """Status and body of one request; status 0 and the error's name where none came."""
        data = None if body is None else body if isinstance(body, bytes) else body.encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"} if data else {}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout) as answer:
                return answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as e:
            return 0, type(getattr(e, "reason", e)).__name__

    def ready(self, limit=600):
        """Waits for 200 on /health; False where the server ended or the limit passed."""
        while time.time() - self.began < limit and self.process.poll() is None:
            if self.ask("/health", timeout=30)[0] == 200:
                return True
            time.sleep(0.2)
        return False

    def tree(self):
        """The processes of the launch's session: pid → name as ps shows it."""
        out = subprocess.run(["ps", "-o", "pid=,args=", "-s", str(self.process.pid)], capture_output=True, text=True, check=False).stdout
        found = {}
        for line in out.splitlines():
            pid, _, args = line.strip().partition(" ")
            found[int(pid)] = args.strip()[:160]
        return found

    def wait(self, limit):
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            return None

    def end(self, signal_number=15, limit=90):
        """Ends the whole session, kindly first."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        self.wait(limit)
        for pid in self.tree():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        return self.process.poll()
