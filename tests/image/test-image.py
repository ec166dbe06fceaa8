#!/usr/bin/python3
"""vmferry image against qemu-img: conversions, comparison, checksums.

usage: test-image.py VMFERRY [REGEX]
"""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from imagetest import MIB, Folder, Tap, answer, check, image, left, make_raw, qemu, refused, run, same, sound, wait_for  # noqa: E402

TAP = Tap()
TIB = 1 << 40


@TAP.case("round trips through every format, odd sizes too, with every cluster size")
def round_trips():
    with Folder() as folder:
        for number, size in enumerate((24 * MIB, 5 * MIB + 512, MIB + 1000, 65536, 1, 511, 513)):
            raw = make_raw(folder("source.raw"), size, number)
            for cluster in ("512", "64K", "2M"):
                qcow2, back = folder("a.qcow2"), folder("back.raw")
                image("convert", "-O", "qcow2", "-o", f"cluster_size={cluster}", "--verify", raw, qcow2)
                sound(qcow2)
                same(raw, "raw", qcow2, "qcow2")
                image("convert", "-f", "qcow2", "-O", "raw", qcow2, back)
                same(raw, "raw", back, "raw")
                check(os.path.getsize(back) == (size + 511) // 512 * 512, f"{size} became {os.path.getsize(back)}")
            qemu("convert", "-f", "raw", "-O", "qcow2", raw, folder("theirs.qcow2"))
            image("convert", folder("theirs.qcow2"), back)
            same(raw, "raw", back, "raw")
        check(left(folder) == [], left(folder))


@TAP.case("compressed qcow2, with every cluster size and kind, and back")
def compressed():
    with Folder() as folder:
        raw = make_raw(folder("source.raw"), 24 * MIB + 512, 3)
        for cluster in ("512", "64K", "2M"):
            for kind in ("zlib", "zstd"):
                image("convert", "-c", "-m", "3", "-O", "qcow2", "-o", f"cluster_size={cluster},compression_type={kind}",
                      "--verify", raw, folder("a.qcow2"))
                sound(folder("a.qcow2"))
                same(raw, "raw", folder("a.qcow2"), "qcow2")
        refused("compression_type", "convert", "-O", "qcow2", "-o", "compression_type=zstd", raw, folder("b.qcow2"))
        check(left(folder) == [], left(folder))


@TAP.case("chains of backing files become one image; one that leaves the folder is not followed")
def chains():
    with Folder() as folder:
        raw = make_raw(folder("base.raw"), 8 * MIB, 4)
        qemu("convert", "-c", "-f", "raw", "-O", "qcow2", raw, folder("middle.qcow2"))
        qemu("create", "-q", "-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2", folder("top.qcow2"), "12M")
        run("qemu-io", "-f", "qcow2", "-c", "write -P 3 7M 2M", "-c", "write -z 1M 100k", folder("top.qcow2"))
        image("convert", "--verify", folder("top.qcow2"), folder("flat.qcow2"))
        same(folder("top.qcow2"), "qcow2", folder("flat.qcow2"), "qcow2")
        qemu("rebase", "-u", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", folder("top.qcow2"))
        refused("not in its own folder", "convert", folder("top.qcow2"), folder("stolen.qcow2"))


@TAP.case("holes cost nothing: 16 TiB of nothing, and of nearly nothing")
def sparse():
    with Folder() as folder:
        qemu("create", "-q", "-f", "qcow2", folder("empty.qcow2"), "16T")
        report = answer("convert", "-O", "qcow2", folder("empty.qcow2"), folder("a.qcow2"))
        check(report["bytes_read"] == 0 and report["seconds"] < 1, report)
        sound(folder("a.qcow2"))
        same(folder("empty.qcow2"), "qcow2", folder("a.qcow2"), "qcow2")
        run("qemu-io", "-f", "qcow2", "-c", "write -P 7 9T 64k", folder("empty.qcow2"))
        report = answer("convert", "--verify", "-O", "qcow2", folder("empty.qcow2"), folder("a.qcow2"))
        check(report["bytes_read"] == 65536 and report["size"] == 16 * TIB, report)
        same(folder("empty.qcow2"), "qcow2", folder("a.qcow2"), "qcow2")
        check(answer("checksum", folder("a.qcow2"))[0]["checksum"] == report["checksum"], "checksum")
        image("compare", folder("empty.qcow2"), folder("a.qcow2"))


@TAP.case("what is asked for wrongly is refused, and nothing is touched")
def wrong():
    with Folder() as folder:
        raw = make_raw(folder("a.raw"), MIB)
        os.rename(raw, folder("a"))
        refused("its format cannot be told", "convert", "-O", "qcow2", folder("a"), folder("b"))
        refused("did you mean cluster_size", "convert", "-f", "raw", "-O", "qcow2", "-o", "cluster-size=4k",
                folder("a"), folder("b"))
        refused("did you mean qcow2", "convert", "-f", "raw", "-O", "qcow", folder("a"), folder("b"))
        refused("leave backing_file", "convert", "-f", "raw", "-O", "qcow2", "-o",
                "backing_file=x.raw,backing_fmt=raw", folder("a"), folder("b"))
        refused("which format", "convert", "-f", "raw", folder("a"), folder("b"))
        refused("is a part of the source", "convert", "-f", "raw", "-O", "raw", folder("a"), folder("a"))
        os.link(folder("a"), folder("link"))
        os.symlink("a", folder("symlink"))
        for name in ("link", "symlink"):
            refused("is a part of the source", "convert", "-f", "raw", "-O", "raw", folder("a"), folder(name))
        refused("neither a file nor", "convert", "-f", "raw", "-O", "raw", folder("a"), folder(""))
        refused("did you mean convert", "convrt")
        os.mkdir(folder("b.partial"))
        with open(folder("b.partial/mine"), "w", encoding="ascii") as mine:
            mine.write("mine")
        refused("was not made by vmferry", "convert", "-f", "raw", "-O", "raw", folder("a"), folder("b"))
        os.unlink(folder("b.partial/mine"))
        os.rmdir(folder("b.partial"))
        check(sorted(os.listdir(folder(""))) == ["a", "link", "symlink"], os.listdir(folder("")))


@TAP.case("a target that exists keeps its name's contents until the rename, its mode, and symbolic links to it")
def existing():
    with Folder() as folder:
        raw = make_raw(folder("a.raw"), MIB)
        with open(folder("old.qcow2"), "w", encoding="ascii") as old:
            old.write("old")
        os.chmod(folder("old.qcow2"), 0o640)
        os.symlink("old.qcow2", folder("link.qcow2"))
        before = os.stat(folder("old.qcow2")).st_ino
        image("convert", raw, folder("link.qcow2"))
        check(os.path.islink(folder("link.qcow2")), "the link is gone")
        same(raw, "raw", folder("old.qcow2"), "qcow2")
        after = os.stat(folder("old.qcow2"))
        check(after.st_mode & 0o777 == 0o640 and after.st_ino != before, oct(after.st_mode))


@TAP.case("VMDKs of QEMU's are read, by relative paths too")
def vmdk():
    with Folder() as folder:
        raw = make_raw(folder("a.raw"), 5 * MIB)
        for subformat in ("monolithicSparse", "monolithicFlat", "streamOptimized", "twoGbMaxExtentSparse",
                          "twoGbMaxExtentFlat"):
            qemu("convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={subformat}", raw, folder("v.vmdk"))
            before = os.getcwd()
            os.chdir(folder(""))
            try:
                image("convert", "v.vmdk", "b.qcow2")
            finally:
                os.chdir(before)
            same(raw, "raw", folder("b.qcow2"), "qcow2")


@TAP.case("VMDKs are written whole, read back, and found equal by QEMU")
def vmdk_targets():
    with Folder() as folder:
        raw = make_raw(folder("a.raw"), 5 * MIB)
        for subformat in ("streamOptimized", "vmfs", "monolithicFlat"):
            image("convert", "--verify", "-O", "vmdk", "-o", f"subformat={subformat}", raw, folder("v.vmdk"))
            same(raw, "raw", folder("v.vmdk"), "vmdk")
            check(left(folder) == [], left(folder))
        refused("cannot be resumed", "convert", "--resume", raw, folder("v.vmdk"))


@TAP.case("NBD: as a source, and in place as a target")
def nbd():
    with Folder() as folder:
        raw = make_raw(folder("a.raw"), 5 * MIB)
        qemu("create", "-q", "-f", "qcow2", folder("there.qcow2"), "5M")
        socket, other = folder("source.sock"), folder("target.sock")
        with subprocess.Popen(["qemu-nbd", "-r", "-e", "8", "-t", "-f", "raw", "-k", socket, raw]) as source, \
                subprocess.Popen(["qemu-nbd", "-e", "8", "-t", "-f", "qcow2", "-k", other,
                                  folder("there.qcow2")]) as target:
            try:
                wait_for("qemu-nbd", 10, lambda: os.path.exists(socket) and os.path.exists(other))
                uri, there = (f"nbd+unix:///?socket={name}" for name in (socket, other))
                image("convert", "--verify", "-O", "qcow2", uri, folder("b.qcow2"))
                image("convert", "--verify", "-n", "-O", "raw", uri, there)
                refused("only raw is written in place", "convert", "-O", "qcow2", uri, there)
                refused("cannot be resumed", "convert", "--resume", "-O", "raw", uri, there)
                image("compare", uri, there)
            finally:
                source.terminate()
                target.terminate()
        same(raw, "raw", folder("b.qcow2"), "qcow2")
        same(raw, "raw", folder("there.qcow2"), "qcow2")


@TAP.case("comparison: answers and exit statuses are qemu-img's")
def compare():
    with Folder() as folder:
        raw = make_raw(folder("a.raw"), 3 * MIB)
        image("convert", raw, folder("a.qcow2"))
        variants = {"same": lambda f: None, "end": lambda f: (f.seek(3 * MIB - 1), f.write(b"x")),
                    "start": lambda f: f.write(b"x"), "longer": lambda f: f.truncate(4 * MIB),
                    "longer and different": lambda f: (f.seek(4 * MIB - 512), f.write(b"x" * 512)),
                    "shorter": lambda f: f.truncate(MIB)}
        for name, change in variants.items():
            with open(raw, "rb") as source, open(folder("b.raw"), "wb") as other:
                other.write(source.read())
                other.seek(0)
                change(other)
            for strict in ([], ["-s"]):
                arguments = ["compare", *strict, "-f", "qcow2", "-F", "raw", folder("a.qcow2"), folder("b.raw")]
                ours, theirs = image(*arguments, ok=False), qemu(*arguments, ok=False)
                check(ours.returncode == theirs.returncode, f"{name} {strict}: {ours} {theirs}")
                if not strict and name != "shorter":
                    a, b = ours.stdout.splitlines(), theirs.stdout.splitlines()
                    check(len(a) == len(b) and a[0].split("offset")[0] == b[0].split("offset")[0], f"{name}: {a} {b}")
        check(image("compare", raw, folder("none.raw"), ok=False).returncode == 2, "an error must not be an answer")
        check(answer("compare", raw, folder("a.qcow2"))["identical"], "json")


@TAP.case("checksums are of contents: equal over formats and holes, different for one byte")
def checksum():
    with Folder() as folder:
        raw = make_raw(folder("a.raw"), 3 * MIB + 100)
        report = answer("convert", raw, folder("a.qcow2"))
        qemu("convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=4k", raw, folder("b.qcow2"))
        with open(raw, "rb") as source, open(folder("full.raw"), "wb") as full:
            full.write(source.read())
        sums = {one["checksum"] for one in answer("checksum", "-m", "3", raw, folder("a.qcow2"), folder("b.qcow2"),
                                                  folder("full.raw"))}
        check(sums == {report["checksum"]}, f"{sums} {report['checksum']}")
        with open(raw, "r+b") as out:
            out.seek(2 * MIB + 1)
            byte = out.read(1)
            out.seek(2 * MIB + 1)
            out.write(bytes([byte[0] ^ 1]))
        check(answer("checksum", raw)[0]["checksum"] not in sums, "one bit does not matter")
        with open(raw, "r+b") as out:
            out.truncate(3 * MIB + 1024)
        check(answer("checksum", raw)[0]["checksum"] not in sums, "the size does not matter")


sys.exit(TAP.main(sys.argv[2] if len(sys.argv) > 2 else None))
