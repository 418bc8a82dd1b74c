"""Makes a git checkout of the installed SGLang's Python source, and commits a slowdown into it.

    plant.py SITE_PACKAGES CHECKOUT     (run by the environment that SGLang is installed in)

The checkout has SGLang's own layout (python/sglang) and two commits: the source as published, and the slowdown. It is
what the SGLang of the campaign is built from, and what its patch is applied to. The slowdown is of the kind that slips
into real code: for each request, layer and step of decode the attention gathers the keys and values of the request's
whole row of the token table, as long as the longest context, and only then cuts out the tokens that the request has.
The results are the same to the bit; nothing sleeps.
"""

import importlib.metadata
import pathlib
import shutil
import subprocess
import sys

PLACE = "srt/layers/attention/torch_native_backend.py"
FUNCTION = "def _run_sdpa_forward_decode("
EDITS = [
    ("req_to_token[req_pool_idx, start_kv:end_kv]", "req_to_token[req_pool_idx]"),
    ("k_cache[per_req_tokens].movedim(", "k_cache[per_req_tokens][start_kv:end_kv].movedim("),
    ("v_cache[per_req_tokens].movedim(", "v_cache[per_req_tokens][start_kv:end_kv].movedim("),
]
PROJECT = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "sglang"
version = "{version}"

[tool.setuptools]
include-package-data = false

[tool.setuptools.packages.find]
include = ["sglang*"]

[tool.setuptools.package-data]
"*" = ["*"]
"""


def git(checkout, *args):
    who = ["-c", "user.name=plant", "-c", "user.email=plant@localhost", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0"]
    subprocess.run(["git", "-C", str(checkout), *who, *args], check=True, stdout=subprocess.DEVNULL)


def slow(text):
    """The file with the slowdown; each edit must find its text exactly once in the decode function."""
    head, found, rest = text.partition(FUNCTION)
    body, next_def, tail = rest.partition("\n    def ")
    if not found:
        raise SystemExit(f"plant: {PLACE} has no {FUNCTION!r}: this is another SGLang than the lock's")
    for old, new in EDITS:
        if body.count(old) != 1:
            raise SystemExit(f"plant: {PLACE} holds {old!r} {body.count(old)} times in its decode, not once: this is another SGLang than the lock's")
        body = body.replace(old, new)
    return head + found + body + next_def + tail


def main():
    installed, checkout = pathlib.Path(sys.argv[1]) / "sglang", pathlib.Path(sys.argv[2])
    version = importlib.metadata.version("sglang")
    package = checkout / "python" / "sglang"
    shutil.copytree(installed, package, ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.pyc"))
    (checkout / "python" / "pyproject.toml").write_text(PROJECT.format(version=version))
    (checkout / ".gitignore").write_text("__pycache__/\nbuild/\n*.egg-info/\n")
    git(checkout, "init", "--quiet", "--initial-branch=main")
    git(checkout, "add", "--all", "--force", ".")
    git(checkout, "commit", "--quiet", "-m", f"SGLang {version} as published")
    place = package / PLACE
    place.write_text(slow(place.read_text()))
    git(checkout, "commit", "--quiet", "-am", "Gather the whole row of the token table in the native decode")


if __name__ == "__main__":
    main()
