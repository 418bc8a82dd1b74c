"""Sets up vLLM and SGLang for machines without a GPU, from a package index alone, in a folder of the user's.

    setup.py FOLDER     (Python 3.11, x86-64 Linux, about 12 GB of disk)

FOLDER then holds torch/, vllm/ and sglang/ (virtual environments; the engines' two share torch/'s packages),
src/sglang (a git checkout of SGLang's own Python source with one planted slowdown, from which the installed SGLang was
built) and model/ (a tiny Qwen3 with random weights). Every package is held to the version and SHA-256 in locks/.

A stage that did not end is never taken for whole: its record in FOLDER/.stages is written last, and without it the stage
begins anew from the wheels that were fetched before. Run it again after any interruption; a second run does nothing.
"""

import argparse
import errno
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
GIGABYTE = 10**9
VLLM_VERSION = "0.26.0+cpu"
REVISION = "1"  # of how stages are made: raise it where what they make changes, and every stage is made anew


class Refusal(Exception):
    """What stands in the way, and what to do about it."""


class Stage:
    """One part of the set-up: the folders that it fills, what it is made from, and about how much disk it takes."""

    def __init__(self, name, folders, make, gigabytes, inputs=()):
        self.name, self.folders, self.make, self.gigabytes = name, folders, make, gigabytes
        self.inputs = [HERE / i for i in inputs]

    def digest(self):
        h = hashlib.sha256(REVISION.encode())
        for path in self.inputs:
            h.update(path.name.encode() + b"\0" + path.read_bytes())
        return h.hexdigest()


class Setup:
    def __init__(self, root, locks=HERE / "locks"):
        self.root, self.locks = pathlib.Path(root).resolve(), pathlib.Path(locks)

    def stages(self):
        return [
            Stage("torch", ["torch"], self.make_torch, 7.5, ["locks/torch.txt"]),
            Stage("vllm", ["vllm"], self.make_vllm, 2.5, ["locks/torch.txt", "locks/vllm.txt"]),
            Stage("sglang", ["sglang", "src"], self.make_sglang, 2.0, ["locks/torch.txt", "locks/sglang.txt", "plant.py"]),
            Stage("model", ["model"], self.make_model, 0.1, ["model.py"]),
        ]

    # The record of a stage.

    def record(self, stage):
        return self.root / ".stages" / f"{stage.name}.json"

    def is_whole(self, stage):
        try:
            made = json.loads(self.record(stage).read_text())
        except (OSError, ValueError):
            return False
        return made.get("digest") == stage.digest() and all((self.root / f).is_dir() for f in stage.folders)

    def run(self):
        """Makes what is missing and gives a line a stage: name, seconds, bytes."""
        check_machine()
        (self.root / ".stages").mkdir(parents=True, exist_ok=True)
        missing = [s for s in self.stages() if not self.is_whole(s)]
        self.check_disk(sum(s.gigabytes for s in missing))
        for stage in missing:
            self.record(stage).unlink(missing_ok=True)
            folders = [self.root / f for f in stage.folders if (self.root / f).exists()]
            if folders:
                say(f"{stage.name}: removing what an earlier run left unfinished, or made from other inputs")
            for folder in folders:
                shutil.rmtree(folder)
            began = time.monotonic()
            stage.make()
            folders = [self.root / f for f in stage.folders]
            made = {"digest": stage.digest(), "seconds": round(time.monotonic() - began, 1), "bytes": sum(size_of(f) for f in folders)}
            write_whole(self.record(stage), json.dumps(made) + "\n")
            say(f"{stage.name}: {made['seconds']:.0f} s, {made['bytes'] / GIGABYTE:.2f} GB")
        shutil.rmtree(self.root / "wheels", ignore_errors=True)
        return [(s.name, json.loads(self.record(s).read_text())) for s in self.stages()]

    def check_disk(self, gigabytes):
        free = shutil.disk_usage(self.root).free / GIGABYTE
        if free < gigabytes:
            raise Refusal(f"{self.root} has {free:.1f} GB free, and what is missing takes about {gigabytes:.1f} GB. Free some, or name a folder on another disk.")

    # The stages.

    def make_torch(self):
        self.environment("torch")
        self.install("torch")

    def make_vllm(self):
        """vLLM asks for the version of a distribution named vllm, and finds its platform by "cpu" in it."""
        self.environment("vllm", shares="torch")
        self.install("vllm")
        info = self.packages("vllm") / f"vllm-{VLLM_VERSION}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM_VERSION}\n")
        self.try_out("vllm", "import torch, vllm._C, vllm; torch.ones(64, 64, dtype=torch.bfloat16) @ torch.ones(64, 64, dtype=torch.bfloat16); print(vllm.__version__)")

    def make_sglang(self):
        """SGLang is taken from its wheel into a checkout, slowed down there by one commit, and installed from that."""
        self.environment("sglang", shares="torch")
        self.install("sglang")
        checkout = self.root / "src" / "sglang"
        self.python("sglang", str(HERE / "plant.py"), str(self.packages("sglang")), str(checkout))
        self.pip("sglang", "uninstall", "--yes", "--quiet", "sglang")
        # By way of git, so that the installed package knows its commit.
        self.pip("sglang", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", f"git+file://{checkout}#egg=sglang&subdirectory=python")
        self.try_out("sglang", "import torch, sglang, sglang.srt.server_args; print(sglang.__version__)", SGLANG_USE_CPU_ENGINE="1")

    def make_model(self):
        self.python("vllm", str(HERE / "model.py"), str(self.root / "model"))

    # Environments.

    def environment(self, name, shares=None):
        self.call([sys.executable, "-m", "venv", str(self.root / name)], f"make the environment {name}")
        if shares:
            (self.packages(name) / "shared.pth").write_text(str(self.packages(shares)) + "\n")

    def packages(self, name):
        return self.root / name / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    def install(self, name):
        """Fetches the wheels first, each checked by its hash, so that an interrupted run goes on where it was."""
        lock, wheels = self.locks / f"{name}.txt", self.root / "wheels"
        wheels.mkdir(exist_ok=True)
        say(f"{name}: fetching {sum(1 for line in lock.read_text().splitlines() if '==' in line)} packages")
        self.pip(name, "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", str(wheels), "-r", str(lock))
        say(f"{name}: installing")
        self.pip(name, "install", "--quiet", "--no-deps", "--require-hashes", "--no-index", "--find-links", str(wheels), "-r", str(lock))

    def pip(self, name, *args):
        self.call([str(self.root / name / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *args], f"pip {args[0]} for {name}")

    def python(self, name, *args):
        self.call([str(self.root / name / "bin" / "python"), *args], f"run {args[0]}")

    def try_out(self, name, program, **env):
        """Imports an engine: a wheel that is not for this processor ends here, by a signal, and not in a campaign."""
        done = subprocess.run([str(self.root / name / "bin" / "python"), "-W", "ignore", "-c", program], env=os.environ | env, capture_output=True, text=True)
        if done.returncode == -signal.SIGILL:
            raise Refusal(f"{name} ends with an illegal instruction: its wheels need instructions that this processor lacks (it has: {processor_flags()}).")
        if done.returncode:
            raise Refusal(f"{name} does not import:\n{done.stderr.strip()[-2000:]}")
        say(f"{name}: imports, version {done.stdout.strip().splitlines()[-1]}")

    def call(self, argv, what):
        done = subprocess.run(argv, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            errors = done.stderr.strip()
            if os.strerror(errno.ENOSPC).lower() in errors.lower() or shutil.disk_usage(self.root).free < 64 << 20:
                raise Refusal(f"the disk of {self.root} is full: could not {what}. Free some space and run this again; what is unfinished will be made anew.")
            raise Refusal(f"could not {what}:\n{errors[-2000:]}")


def check_machine():
    if sys.version_info[:2] != (3, 11):
        raise Refusal(f"this is Python {sys.version_info.major}.{sys.version_info.minor}; the locked wheels are for 3.11. Run it by python3.11, or make locks for yours with lock.py.")
    if os.uname().sysname != "Linux" or os.uname().machine != "x86_64":
        raise Refusal(f"this is {os.uname().sysname} on {os.uname().machine}; the locked wheels are for Linux on x86_64.")
    if "avx2" not in processor_flags().split():
        raise Refusal(f"this processor has no AVX2, which both engines' wheels need (it has: {processor_flags()}).")


def processor_flags():
    """The flags that decide which code of a wheel runs."""
    with open("/proc/cpuinfo") as f:
        flags = next((line.split(":", 1)[1].split() for line in f if line.startswith("flags")), [])
    return " ".join(f for f in flags if f.startswith(("avx", "amx", "sse4"))) or "none of SSE4, AVX, AMX"


def size_of(folder):
    return sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def write_whole(path, text):
    """Writes a file that is there whole or not at all, also after a power cut."""
    scratch = path.with_suffix(".partial")
    with open(scratch, "w") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.replace(scratch, path)


def say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where everything goes; made if it is not there")
    root = parser.parse_args().folder
    began = time.monotonic()
    try:
        pathlib.Path(root).mkdir(parents=True, exist_ok=True)
        made = Setup(root).run()
    except Refusal as why:
        sys.exit(f"setup: {why}")
    except OSError as why:
        if why.errno != errno.ENOSPC:
            raise
        sys.exit(f"setup: the disk of {root} is full. Free some space and run this again; what is unfinished will be made anew.")
    except KeyboardInterrupt:
        sys.exit("setup: interrupted. Run it again: it goes on with what is missing.")
    for name, stage in made:
        print(f"{name:8} {stage['seconds']:7.1f} s {stage['bytes'] / GIGABYTE:6.2f} GB")
    print(f"{'all':8} {time.monotonic() - began:7.1f} s {sum(s['bytes'] for _, s in made) / GIGABYTE:6.2f} GB in {root}")


if __name__ == "__main__":
    main()
