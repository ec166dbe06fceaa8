"""Starts the lab for one test program, speaks TAP, and stops it."""
import json
import os
import subprocess
import sys
import tempfile
import time


class Lab:
    def __init__(self, serve, config):
        self.scratch = tempfile.TemporaryDirectory(prefix="vmferry-lab-")
        ready = os.path.join(self.scratch.name, "ready.json")
        state = os.path.join(self.scratch.name, "state")
        self.process = subprocess.Popen([serve, config, state, ready])
        deadline = time.monotonic() + 30
        while not os.path.exists(ready):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("Bail out! the lab did not start")
            time.sleep(0.02)
        with open(ready, encoding="utf-8") as file:
            said = json.load(file)
        self.url, self.thumbprint = said["url"], said["thumbprint"]
        self.user, self.password = said["user"], said["password"]
        self.host, port = self.url[len("https://"):].rsplit(":", 1)
        self.port = int(port)

    def stop(self):
        self.process.terminate()
        code = self.process.wait(30)
        self.scratch.cleanup()
        return code


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def ok(self, good, name, why=""):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}", flush=True)
        if not good:
            print(f"# {why}", flush=True)
        return good

    def equal(self, got, wanted, name):
        return self.ok(got == wanted, name, f"got {got!r}, wanted {wanted!r}")

    def end(self, lab):
        self.equal(lab.stop(), 0, "the lab ends when it is told to")
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)


def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)
