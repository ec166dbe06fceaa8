#!/usr/bin/python3
"""Conversions that are killed, cancelled, or run out of space, and what --resume makes of what they leave.

usage: test-resume.py VMFERRY [REGEX]
"""
import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from imagetest import (MIB, VMFERRY, Folder, Skip, Tap, answer, check, image, left, refused, run, same,  # noqa: E402
                       sound)

TAP = Tap()


def killed(folder, raw, target, *options, point="copy.checkpoint-committed"):
    """A conversion that is killed right behind its first checkpoint."""
    done = image("convert", "--bandwidth", "4M", *options, raw, target, ok=False, env={"VMFERRY_CRASH_AT": point})
    check(done.returncode == -signal.SIGKILL, f"it was not killed: {done}")
    check(not os.path.exists(target), "there is a target though nothing was finished")
    return left(folder)


def random_raw(path, mib):
    with open(path, "wb") as out:
        out.write(os.urandom(mib * MIB // 2).hex().encode())
    return path


def add(name, target_format, *options):
    @TAP.case(name)
    def resumes():
        with Folder() as folder:
            raw, target = random_raw(folder("a.raw"), 24), folder(f"b.{target_format}")
            with open(raw, "r+b") as out:
                out.truncate(30 * MIB)
            parts = killed(folder, raw, target, *options)
            check(parts == [".vmferry-state", ".vmferry-sums", os.path.basename(target)], parts)
            report = answer("convert", "--resume", "--verify", *options, raw, target)
            check(report["bytes_resumed"] > 8 * MIB, report)
            read_before = report["bytes_resumed"] - 6 * MIB
            check(report["bytes_read"] == 24 * MIB - read_before, f"bytes were read again: {report}")
            same(raw, "raw", target, target_format)
            check(answer("checksum", raw)[0]["checksum"] == report["checksum"], "checksum")
            check(left(folder) == [], left(folder))
            if target_format == "qcow2":
                sound(target)


add("kill -9 behind a checkpoint: raw goes on there, and no byte is read again", "raw")
add("kill -9 behind a checkpoint: qcow2 goes on there, and no byte is read again", "qcow2", "-o", "cluster_size=128K")
add("kill -9 behind a checkpoint: compressed qcow2 goes on there, and no byte is read again", "qcow2", "-c", "-o",
    "cluster_size=128K,compression_type=zstd")


@TAP.case("what is left of another source or of other options is not gone on with")
def others():
    with Folder() as folder:
        raw, target = random_raw(folder("a.raw"), 24), folder("b.qcow2")
        killed(folder, raw, target)
        refused("was begun from another source", "convert", "--resume", "-o", "cluster_size=4k", raw, target)
        with open(raw, "r+b") as out:
            out.write(b"x")
        refused("was begun from another source", "convert", "--resume", raw, target)
        check(len(left(folder)) == 3, left(folder))
        report = answer("convert", raw, target)
        check(report["bytes_resumed"] == 0 and left(folder) == [], report)
        same(raw, "raw", target, "qcow2")


@TAP.case("killed before the first checkpoint, or with a state that is damaged: nothing is believed")
def early():
    with Folder() as folder:
        raw, target = random_raw(folder("a.raw"), 24), folder("b.qcow2")
        image("convert", raw, target, ok=False, env={"VMFERRY_CRASH_AT": "copy.mid"})
        report = answer("convert", "--resume", raw, target)
        check(report["bytes_resumed"] == 0 and report["bytes_read"] == 24 * MIB, report)
        os.unlink(target)
        killed(folder, raw, target)
        state = os.path.join(target + ".partial", ".vmferry-state")
        with open(state, "r+b") as out:
            out.seek(-1, os.SEEK_END)
            out.write(b"\x55")
        refused(".vmferry-state", "convert", "--resume", raw, target)
        answer("convert", raw, target)
        same(raw, "raw", target, "qcow2")


@TAP.case("two at work on one target: the second is refused and harms nothing")
def two():
    with Folder() as folder:
        raw, target = random_raw(folder("a.raw"), 16), folder("b.qcow2")
        with subprocess.Popen([VMFERRY, "image", "convert", "--bandwidth", "6M", raw, target]) as first:
            while not os.path.exists(os.path.join(target + ".partial", ".vmferry-sums")):
                time.sleep(0.02)
            for options in ([], ["--resume"]):
                refused("is in use", "convert", *options, raw, target)
            check(first.wait(30) == 0, "the first one failed")
        same(raw, "raw", target, "qcow2")


@TAP.case("Ctrl-C: an error, and what was done is kept and named")
def cancelled():
    with Folder() as folder:
        raw, target = random_raw(folder("a.raw"), 24), folder("b.qcow2")
        with subprocess.Popen([VMFERRY, "image", "convert", "--bandwidth", "4M", raw, target],
                              stderr=subprocess.PIPE, text=True) as child:
            state = os.path.join(target + ".partial", ".vmferry-state")
            first = None
            while first is None or os.stat(state).st_ino == first:
                first = first or (os.path.exists(state) and os.stat(state).st_ino) or None
                time.sleep(0.02)
            child.send_signal(signal.SIGINT)
            text = child.communicate(timeout=20)[1]
            check(child.returncode == 11 and "--resume goes on" in text, f"{child.returncode} {text}")
        report = answer("convert", "--resume", raw, target)
        check(report["bytes_resumed"] > 0 and report["bytes_read"] + report["bytes_resumed"] == 24 * MIB, report)
        same(raw, "raw", target, "qcow2")


@TAP.case("a full disk: the message says it, nothing is under the name, and with more space it goes on")
def full():
    if os.geteuid() != 0:
        raise Skip("mounting a small file system needs root")
    with Folder() as folder:
        raw, small = random_raw(folder("a.raw"), 24), folder("small")
        os.mkdir(small)
        if run("mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", small, ok=False).returncode != 0:
            raise Skip("cannot mount a tmpfs here")
        try:
            target = os.path.join(small, "b.qcow2")
            done = refused("No space left", "convert", "--bandwidth", "2M", raw, target)
            check(not os.path.exists(target), "there is a part of an image under the name")
            check("--resume goes on" in done.stderr and os.path.exists(target + ".partial"), done.stderr)
            run("mount", "-o", "remount,size=64M", small)
            report = answer("convert", "--resume", "--verify", raw, target)
            check(report["bytes_resumed"] > 3 * MIB, report)
            same(raw, "raw", target, "qcow2")
            sound(target)
            os.unlink(target)
            run("mount", "-o", "remount,size=128K", small)
            refused("No space left", "convert", raw, target)
            check(os.listdir(small) == [], os.listdir(small))
        finally:
            run("umount", small)


sys.exit(TAP.main(sys.argv[2] if len(sys.argv) > 2 else None))
