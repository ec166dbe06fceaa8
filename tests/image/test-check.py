#!/usr/bin/python3
"""vmferry image check against qemu-img check: sound images of every kind, and images that were damaged here.

usage: test-check.py VMFERRY [REGEX]
"""
import json
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from imagetest import MIB, Folder, Tap, check, image, make_raw, qemu, run, same, sound  # noqa: E402

TAP = Tap()
COUNTS = ("total-clusters", "allocated-clusters", "compressed-clusters", "fragmented-clusters", "image-end-offset",
          "corruptions", "leaks", "leaks-fixed", "corruptions-fixed")


def same_answer(path, *options):
    """Both look at a copy of its own; returns the exit status."""
    for name in ("ours", "theirs"):
        run("cp", path, f"{path}.{name}")
    ours = image("check", "--output=json", "-f", "qcow2", *options, path + ".ours", ok=False)
    theirs = qemu("check", "--output=json", "-f", "qcow2", *options, path + ".theirs", ok=False)
    a, b = json.loads(ours.stdout), json.loads(theirs.stdout[theirs.stdout.index("{"):])
    check(ours.returncode == theirs.returncode, f"{options}: {ours} {theirs}")
    keys = COUNTS if not options else COUNTS[:1]
    check(all(a.get(key, 0) == b.get(key, 0) for key in keys), f"{options}:\n{a}\n{b}")
    return ours.returncode


def refcount_block(path):
    """Where the first refcount block lies."""
    with open(path, "rb") as file:
        file.seek(48)
        table = struct.unpack(">Q", file.read(8))[0]
        file.seek(table)
        return struct.unpack(">Q", file.read(8))[0]


def poke(path, cluster, count):
    with open(path, "r+b") as file:
        file.seek(refcount_block(path) + 2 * cluster)
        file.write(struct.pack(">H", count))


@TAP.case("sound images of every kind are found sound, with the same figures")
def sound_ones():
    with Folder() as folder:
        raw = make_raw(folder("a.raw"), 5 * MIB)
        for options in ("cluster_size=512", "compat=0.10", "refcount_bits=1", "refcount_bits=8", "refcount_bits=64",
                        "extended_l2=on,cluster_size=128k", "cluster_size=2M"):
            qemu("convert", "-f", "raw", "-O", "qcow2", "-o", options, raw, folder("a.qcow2"))
            check(same_answer(folder("a.qcow2")) == 0, options)
        qemu("convert", "-c", "-f", "raw", "-O", "qcow2", raw, folder("a.qcow2"))
        check(same_answer(folder("a.qcow2")) == 0, "compressed")
        image("convert", "-c", "-o", "compression_type=zstd", raw, folder("b.qcow2"))
        check(same_answer(folder("b.qcow2")) == 0, "ours, compressed")
        for name in ("one", "two"):
            qemu("snapshot", "-c", name, folder("a.qcow2"))
            run("qemu-io", "-c", "write 1M 1M", folder("a.qcow2"))
        check(same_answer(folder("a.qcow2")) == 0, "snapshots")


@TAP.case("leaks are counted and repaired")
def leaks():
    with Folder() as folder:
        raw, path = make_raw(folder("a.raw"), 5 * MIB), folder("a.qcow2")
        image("convert", raw, path)
        with open(path, "ab") as file:
            file.write(bytes(4 << 16))
        end = os.path.getsize(path) >> 16
        poke(path, end - 1, 1)
        poke(path, end - 3, 2)
        check(same_answer(path) == 3, "leaks")
        check(same_answer(path, "-r", "leaks") == 0, "leaks, to be repaired")
        image("check", "--repair=leaks", path)
        sound(path)
        same(raw, "raw", path, "qcow2")


@TAP.case("what is in use and not counted is corruption; repair=all mends it, repair=leaks does not")
def corruption():
    with Folder() as folder:
        raw, path = make_raw(folder("a.raw"), 5 * MIB), folder("a.qcow2")
        image("convert", raw, path)
        end = os.path.getsize(path) >> 16
        poke(path, end - 1, 0)
        poke(path, end - 2, 0)
        check(image("check", path, ok=False).returncode == 2, "corruption")
        check(qemu("check", path, ok=False).returncode == 2, "corruption, theirs")
        check(image("check", "-r", "leaks", path, ok=False).returncode == 2, "leaks only")
        image("check", "--repair=all", path)
        sound(path)
        same(raw, "raw", path, "qcow2")


@TAP.case("references that lead nowhere are corruption; what cannot be checked says so")
def nowhere():
    with Folder() as folder:
        raw, path = make_raw(folder("a.raw"), 5 * MIB), folder("a.qcow2")
        image("convert", raw, path)
        with open(path, "r+b") as file:
            file.seek(40)
            table = struct.unpack(">Q", file.read(8))[0]
            file.seek(table)
            file.write(struct.pack(">Q", 1 << 63 | 1 << 40))
        check(image("check", path, ok=False).returncode == 2, "an L2 table outside of the file")
        check(image("check", raw, ok=False).returncode == 63, "raw")
        check(image("check", folder("none"), ok=False).returncode == 1, "a file that is not there")
        with open(path, "r+b") as file:
            file.truncate(100)
        check(image("check", "-f", "qcow2", path, ok=False).returncode == 1, "cut off")


sys.exit(TAP.main(sys.argv[2] if len(sys.argv) > 2 else None))
