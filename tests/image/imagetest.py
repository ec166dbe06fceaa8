"""What the suites about images share: an image with everything in it, and the commands on both sides."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from practice import MIB, Failure, Skip, Tap, check, run, wait_for  # noqa: E402, F401  pylint: disable=unused-import

VMFERRY = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""


def image(*argv, ok=True, env=None, timeout=120):
    """vmferry image ...; .stdout and .stderr apart."""
    done = subprocess.run([VMFERRY, "image", *map(str, argv)], capture_output=True, text=True, check=False,
                          timeout=timeout, env=dict(os.environ, **env) if env else None)
    if ok:
        check(done.returncode == 0, f"image {argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def answer(*argv):
    """The JSON that a subcommand prints."""
    return json.loads(image(*argv, "--json").stdout)


def refused(part, *argv):
    done = image(*argv, ok=False)
    check(done.returncode != 0, f"image {argv} was not refused:\n{done.stdout}")
    check(part in done.stderr, f"image {argv}: {part!r} is not in {done.stderr!r}")
    return done


def qemu(*argv, ok=True):
    return run("qemu-img", *map(str, argv), ok=ok)


def same(a, a_format, b, b_format):
    done = qemu("compare", "-f", a_format, "-F", b_format, a, b, ok=False)
    check(done.returncode == 0, f"{a} and {b}: {done.stdout.strip()}")


def sound(path):
    done = qemu("check", "-f", "qcow2", path, ok=False)
    check(done.returncode == 0, f"{path}: {done.stdout.strip()}")


class Folder:
    """A temporary directory: `with Folder() as path`."""

    def __init__(self, under=None):
        self.under = under

    def __enter__(self):
        self.top = tempfile.mkdtemp(prefix="vmferry-test-", dir=self.under)
        return lambda name: os.path.join(self.top, name)

    def __exit__(self, kind, value, trace):
        shutil.rmtree(self.top, ignore_errors=True)


def make_raw(path, size=24 * MIB, seed=1):
    """Data, stored zeros and holes, in pieces of all sizes; the last byte is not zero."""
    dice = random.Random(seed)
    with open(path, "wb") as out:
        out.truncate(size)
        at = 0
        while at < size:
            length = min(dice.choice([512, 4096, 65536, 300 << 10, 2 * MIB]), size - at)
            kind = dice.choice(["data", "text", "zero", "hole"])
            out.seek(at)
            if kind == "data":
                out.write(dice.randbytes(length))
            elif kind == "text":
                out.write((b"vmferry %12d " % at * (length // 16 + 1))[:length])
            elif kind == "zero":
                out.write(bytes(length))
            at += length
        out.seek(size - 1)
        out.write(b"\xff")
    return path


def left(folder):
    """Parts of conversions that lie about."""
    return sorted(name for part in os.listdir(folder("")) if part.endswith(".partial")
                  for name in [".", *os.listdir(folder(part))] if name != "." or not os.listdir(folder(part)))
