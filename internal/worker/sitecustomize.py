"""Proves which of the overlay's files this Python process loaded.

It lies first on the import path of an engine that runs from an overlay. For every module of the package that is among
the watched files it notes the file and its SHA-256 at the moment the import system takes the module's code, in
proof-<pid>.json, and stops watching when all were seen. A sitecustomize that it hides is run afterwards.
"""


def _watch():
    import os
    import sys

    out = os.environ.get("SOTALOOP_PROOF_DIR")
    package = os.environ.get("SOTALOOP_PROOF_PACKAGE")
    files = [f for f in os.environ.get("SOTALOOP_PROOF_FILES", "").split(":") if f.endswith(".py")]
    if not out or not package or not files:
        return

    waiting = set()
    for f in files:
        parts = [package] + f[:-3].split("/")
        if parts[-1] == "__init__":
            parts.pop()
        waiting.add(".".join(parts))
    seen = {}

    def write():
        import json

        pid = os.getpid()
        path = os.path.join(out, "proof-%d.json" % pid)
        part = "%s.%d.part" % (path, id(seen))
        try:
            with open(part, "w") as f:
                json.dump({"pid": pid, "modules": seen}, f)
            os.replace(part, path)
        except OSError:
            pass

    def note(name, origin):
        import hashlib

        try:
            with open(origin, "rb") as f:
                seen[name] = {"file": os.path.abspath(origin), "sha256": hashlib.sha256(f.read()).hexdigest()}
        except OSError:
            return
        waiting.discard(name)
        write()
        if not waiting:
            try:
                sys.meta_path.remove(finder)
            except ValueError:
                pass

    def spy(name, spec):
        loader, take = spec.loader, spec.loader.get_code

        def get_code(fullname):
            code = take(fullname)
            note(name, spec.origin)
            try:
                del loader.get_code
            except AttributeError:
                pass
            return code

        loader.get_code = get_code

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name not in waiting:
                return None
            for other in sys.meta_path:
                if other is finder or not hasattr(other, "find_spec"):
                    continue
                spec = other.find_spec(name, path, target)
                if spec is None:
                    continue
                if spec.origin and hasattr(spec.loader, "get_code"):
                    try:
                        spy(name, spec)
                    except AttributeError:
                        pass  # a loader that takes no attribute: its module stays unproven
                return spec
            return None

    finder = Finder()
    sys.meta_path.insert(0, finder)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: seen and write())


def _chain():
    import os
    import sys
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = os.path.dirname(os.path.abspath(__file__))
    rest = [p for p in sys.path if os.path.abspath(p or ".") != here]
    spec = PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


_watch()
_chain()
