"""Writes locks/NAME.txt from locks/NAME.in: every wheel by version and SHA-256, as setup.py installs them.

    lock.py            (Python 3.11 on x86-64 Linux; needs a package index, downloads metadata only)

Run it to move to newer versions, then setup.py into an empty folder, then `make e2e-cpu`.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

LOCKS = pathlib.Path(__file__).parent / "locks"
SHARED = "torch"


def wanted(name):
    """The requirements of an .in file: those installed with their dependencies, and those without."""
    lines = [line.strip() for line in (LOCKS / f"{name}.in").read_text().splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    alone = [line.removesuffix("--no-deps").strip() for line in lines if line.endswith("--no-deps")]
    return [line for line in lines if not line.endswith("--no-deps")], alone


def resolve(requirements, *options):
    """What pip would install, as {name: (version, sha256)}."""
    with tempfile.TemporaryDirectory() as scratch:
        report = pathlib.Path(scratch) / "report.json"
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--only-binary=:all:",
                        "--report", str(report), *options, *requirements], check=True)
        found = json.loads(report.read_text())["install"]
    return {item["metadata"]["name"].lower().replace("_", "-"): (item["metadata"]["version"], item["download_info"]["archive_info"]["hashes"]["sha256"])
            for item in found}


def main():
    shared = resolve(wanted(SHARED)[0])
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("".join(f"{name}=={version}\n" for name, (version, _) in shared.items()))
        constraints.flush()
        for path in sorted(LOCKS.glob("*.in")):
            name = path.stem
            packages = shared
            if name != SHARED:
                together, alone = wanted(name)
                packages = {k: v for k, v in resolve(together, "-c", constraints.name).items() if k not in shared}
                packages |= resolve(alone, "--no-deps")
            lines = [f"{k}=={version} --hash=sha256:{digest}\n" for k, (version, digest) in sorted(packages.items())]
            (LOCKS / f"{name}.txt").write_text(f"# Made by lock.py from {name}.in, for Python 3.11 on x86-64 Linux.\n" + "".join(lines))
            print(f"{name}: {len(lines)} packages")


if __name__ == "__main__":
    main()
