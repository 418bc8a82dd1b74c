"""What setup.py does where things go wrong: python3 -m unittest discover e2e/cpu (needs a package index, no engines)."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import setup  # noqa: E402

LOCK = "six==1.16.0 --hash=sha256:8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254\n"


class Small(setup.Setup):
    """One small stage in the place of the engines."""

    def stages(self):
        return [setup.Stage("small", ["small"], self.make_small, 0.01)]

    def make_small(self):
        self.environment("small")
        self.install("small")


class SetupTest(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="sotaloop-setup-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.locks = self.root / "locks"
        self.locks.mkdir()
        (self.locks / "small.txt").write_text(LOCK)
        self.folder = self.root / "engines"
        self.folder.mkdir()

    def small(self):
        return Small(self.folder, self.locks)

    def test_second_run_does_nothing(self):
        self.small().run()
        mark = self.folder / "small" / "mark"
        mark.touch()
        [(name, made)] = self.small().run()
        self.assertTrue(mark.exists(), "a whole stage is not made again")
        self.assertEqual(name, "small")
        self.assertGreater(made["bytes"], 10**6)

    def test_killed_half_way(self):
        program = textwrap.dedent(f"""
            import sys, time
            sys.path.insert(0, {str(HERE)!r})
            import test_setup
            class Slow(test_setup.Small):
                def install(self, name):
                    super().install(name)
                    print("half way", flush=True)
                    time.sleep(60)
            Slow({str(self.folder)!r}, {str(self.locks)!r}).run()
        """)
        running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        self.assertEqual(running.stdout.readline().strip(), "half way")
        running.kill()
        running.wait()
        running.stdout.close()
        self.assertTrue((self.folder / "small" / "bin").exists(), "it was killed with something made")
        self.assertFalse(self.small().is_whole(self.small().stages()[0]), "nothing half-installed is taken for whole")
        leftover = self.folder / "small" / "leftover"
        leftover.touch()
        self.small().run()
        self.assertFalse(leftover.exists(), "the stage began anew")
        self.assertTrue(self.small().is_whole(self.small().stages()[0]))

    def test_other_inputs_make_it_anew(self):
        self.small().run()
        stage = self.small().stages()[0]
        self.small().record(stage).write_text('{"digest": "of another lock", "seconds": 1, "bytes": 1}')
        self.assertFalse(self.small().is_whole(stage))

    def test_wheel_with_another_hash(self):
        (self.locks / "small.txt").write_text(LOCK.replace("8abb", "0000"))
        with self.assertRaisesRegex(setup.Refusal, "(?s)could not pip download.*hash"):
            self.small().run()
        self.assertFalse(self.small().is_whole(self.small().stages()[0]))

    def test_too_little_disk(self):
        with self.assertRaisesRegex(setup.Refusal, "GB free, and what is missing takes about"):
            self.small().check_disk(10**6)

    @unittest.skipUnless(hasattr(os, "geteuid") and os.geteuid() == 0, "mounts a small file system")
    def test_disk_full_half_way(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(self.folder)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.folder)])
        with self.assertRaisesRegex(setup.Refusal, "is full.*run this again"):
            self.small().run()
        self.assertFalse(self.small().is_whole(self.small().stages()[0]))

    def test_wheel_for_another_processor(self):
        self.small().run()
        with self.assertRaisesRegex(setup.Refusal, "illegal instruction.*processor lacks"):
            self.small().try_out("small", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")

    def test_engine_that_does_not_import(self):
        self.small().run()
        with self.assertRaisesRegex(setup.Refusal, "(?s)does not import.*ZeroDivisionError"):
            self.small().try_out("small", "1 / 0")

    def test_interrupted_by_hand(self):
        # A job in the background of a shell ignores the signal, and so would what it starts.
        hears = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
        running = subprocess.Popen([sys.executable, str(HERE / "setup.py"), str(self.folder)], stderr=subprocess.PIPE, text=True, preexec_fn=hears)
        self.addCleanup(running.kill)
        self.assertIn("torch: fetching", running.stderr.readline())
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 1)
        self.assertIn("goes on with what is missing", said)
        self.assertNotIn("Traceback", said.splitlines()[-1])


if __name__ == "__main__":
    unittest.main()
