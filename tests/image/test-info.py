#!/usr/bin/python3
"""vmferry image map, info, create and resize against qemu-img.

usage: test-info.py VMFERRY [REGEX]
"""
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from imagetest import (MIB, Folder, Tap, answer, check, image, make_raw, qemu, refused, run, same, sound)  # noqa: E402

TAP = Tap()


def same_map(path, *options):
    ours = json.loads(image("map", "--output=json", *options, path).stdout)
    theirs = json.loads(qemu("map", "--output=json", *options, path).stdout)
    check(ours == theirs, f"{path}:\n{ours}\n{theirs}")
    ours, theirs = image("map", *options, path).stdout, qemu("map", *options, path).stdout
    check(ours == theirs, f"{path}:\n{ours}\n{theirs}")


@TAP.case("maps are those of qemu-img, JSON and table: raw, qcow2, zero clusters, chains")
def maps():
    with Folder() as folder:
        raw = make_raw(folder("a.raw"), 5 * MIB)
        same_map(raw, "-f", "raw")
        for options in (["-o", "cluster_size=4k"], []):
            image("convert", "-O", "qcow2", *options, raw, folder("a.qcow2"))
            same_map(folder("a.qcow2"))
        qemu("create", "-q", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", folder("b.qcow2"))
        run("qemu-io", "-c", "write 64k 128k", "-c", "write -z 1M 1M", folder("b.qcow2"))
        same_map(folder("b.qcow2"))
        qemu("create", "-q", "-f", "qcow2", folder("c.qcow2"), "16T")
        same_map(folder("c.qcow2"))


@TAP.case("compressed clusters are called so")
def compressed():
    with Folder() as folder:
        raw = make_raw(folder("a.raw"), 5 * MIB)
        qemu("convert", "-c", "-f", "raw", "-O", "qcow2", raw, folder("a.qcow2"))
        clusters = json.loads(image("map", "--json", folder("a.qcow2")).stdout)
        check(any(c.get("compressed") and "offset" not in c for c in clusters), clusters)
        image("convert", "-c", raw, folder("b.qcow2"))
        clusters = json.loads(image("map", "--json", folder("b.qcow2")).stdout)
        check(any(c.get("compressed") for c in clusters), clusters)
        sound(folder("b.qcow2"))


@TAP.case("info: sizes and format are qemu-img's, and a chain is listed")
def info():
    with Folder() as folder:
        raw = make_raw(folder("a.raw"), 5 * MIB)
        image("convert", raw, folder("a.qcow2"))
        for path, options in ((raw, ["-f", "raw"]), (folder("a.qcow2"), [])):
            ours = answer("info", *options, path)
            theirs = json.loads(qemu("info", "--output=json", *options, path).stdout)
            for key in ("virtual-size", "filename", "format", "actual-size", "cluster-size"):
                check(ours.get(key) == theirs.get(key), f"{key}: {ours.get(key)} {theirs.get(key)}")
            check(sum(ours["allocation"][kind] for kind in ("data", "zero", "hole")) == 5 * MIB, ours)
        qemu("create", "-q", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", folder("b.qcow2"))
        files = [os.path.basename(name) for name in answer("info", folder("b.qcow2"))["files"]]
        check(files == ["b.qcow2", "a.qcow2"], files)
        check("made of: " in image("info", folder("b.qcow2")).stdout, "the chain is not shown")


@TAP.case("create and resize: what QEMU finds is what was asked for")
def create():
    with Folder() as folder:
        path = folder("a.qcow2")
        image("create", "-f", "qcow2", "-o", "cluster_size=4k", path, "10M")
        refused("exists", "create", "-f", "qcow2", path, "10M")
        run("qemu-io", "-c", "write -P 5 0 10M", path)
        image("resize", path, "+6M")
        found = json.loads(qemu("info", "--output=json", path).stdout)
        check(found["virtual-size"] == 16 * MIB and found["cluster-size"] == 4096, found)
        sound(path)
        run("qemu-io", "-c", "read -P 5 0 10M", "-c", "read -P 0 10M 6M", path)
        refused("only made larger", "resize", path, "1M")
        image("create", "-f", "raw", folder("a.raw"), "1M")
        image("resize", folder("a.raw"), "2M")
        check(os.path.getsize(folder("a.raw")) == 2 * MIB, "raw")
        same(folder("a.raw"), "raw", folder("a.raw"), "raw")


sys.exit(TAP.main(sys.argv[2] if len(sys.argv) > 2 else None))
