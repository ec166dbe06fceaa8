#!/usr/bin/env python3
"""The data path against the tools that people use today: nbdcopy into qemu-nbd, qemu-img convert, a loop of
synchronous reads and writes, and cp.

usage: bench.py BUILD-DIR [--quick] [--json] [--runs N] [--only TEXT] [--fast DIR] [--slow DIR]

Both sides of a comparison read the same bytes, from the same server or file, and both are timed until what they wrote
is durable.  Runs alternate (ours, peer, ours, peer, ...), the first pair is thrown away, and medians are compared.
docs/BENCHMARKS.md says more.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
BLOCK = 65536


class Bench:
    """Where things lie, and how they are run."""

    def __init__(self, options):
        self.options = options
        self.tool = str(pathlib.Path(options.build) / "bench" / "bench-copy")
        self.program = str(pathlib.Path(options.build) / "src" / "cli" / "vmferry")
        self.size_mib = 512 if options.quick else 1024
        self.runs = options.runs or (3 if options.quick else 5)
        self.delta_mib = 1024 if options.quick else 4096
        self.delta_blocks = self.delta_mib
        self.fast = tempfile.mkdtemp(prefix="vmferry-bench-", dir=options.fast)
        self.slow = tempfile.mkdtemp(prefix="vmferry-bench-", dir=options.slow)
        self.results = []
        self.peak_kib = 0

    def close(self):
        shutil.rmtree(self.fast, ignore_errors=True)
        shutil.rmtree(self.slow, ignore_errors=True)

    def ours(self, *arguments):
        """Runs bench-copy and returns the seconds that it took by its own clock, start and end included."""
        started = time.monotonic()
        out = subprocess.run([self.tool, *map(str, arguments)], check=True, stdout=subprocess.PIPE).stdout
        seconds = time.monotonic() - started
        if out:
            self.peak_kib = max(self.peak_kib, json.loads(out)["max_rss_kib"])
        return seconds

    def compare(self, name, bytes_moved, ours, peer):
        """`ours` and `peer` are functions that run once and return seconds; `peer` may be None."""
        if self.options.only and self.options.only not in name:
            return
        mine, theirs = [], []
        for run in range(self.runs + 1):
            a = ours()
            b = peer() if peer else None
            if run > 0:
                mine.append(a)
                theirs.append(b)
        self.report(name, bytes_moved, mine, theirs if peer else None)

    def report(self, name, bytes_moved, mine, theirs):
        a = statistics.median(mine)
        result = {"name": name, "runs": len(mine), "ours_seconds": a, "ours_all": mine, "bytes": bytes_moved,
                  "ours_mib_per_second": bytes_moved / MIB / a}
        if theirs:
            b = statistics.median(theirs)
            result.update(peer_seconds=b, peer_all=theirs, ratio=b / a)
        self.results.append(result)
        if self.options.json:
            return
        speed = f"{result['ours_mib_per_second']:.0f} MiB/s"
        if theirs:
            print(f"{name} ratio {b / a:.2f} (ours {a:.3f} s = {speed}, peer {b:.3f} s, median of {len(mine)})")
        else:
            print(f"{name} (ours {a:.3f} s = {speed}, median of {len(mine)})")
        sys.stdout.flush()


def make_durable(path):
    fd = os.open(path, os.O_RDWR)
    os.fsync(fd)
    os.close(fd)


def remove(*paths):
    for path in paths:
        for name in (path, path + ".sums"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def timed(function):
    started = time.monotonic()
    function()
    return time.monotonic() - started


def run(*arguments):
    subprocess.run([str(a) for a in arguments], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def server(arguments, socket):
    """A server that listens on the unix socket `socket`, ended with SIGTERM and waited for."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket)
    child = subprocess.Popen([str(a) for a in arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not os.path.exists(socket):
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{arguments[0]} does not start")
            time.sleep(0.005)
        yield f"nbd+unix:///?socket={socket}"
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()


def nbdkit(raw, socket, delay=None):
    filters = ["--filter=delay"] if delay else []
    parameters = [f"rdelay={delay}"] if delay else []
    return server(["nbdkit", "-f", "-r", "-U", socket, *filters, "file", raw, *parameters], socket)


def qemu_nbd(image, socket):
    return server(["qemu-nbd", "-t", "-e", "8", "-f", "qcow2", "-k", socket, image], socket)


def data_bytes(raw):
    return os.stat(raw).st_blocks * 512


# ---- the base copy ----


def ours_copy(bench, source, target):
    remove(target)
    return bench.ours("copy", source, target)


def peer_nbdcopy(source, size_mib, target, socket):
    """Making the image and starting qemu-nbd is not counted; its end is, for that is when the last tables are written."""
    remove(target)
    run("qemu-img", "create", "-q", "-f", "qcow2", target, f"{size_mib}M")
    with qemu_nbd(target, socket) as uri:
        seconds = timed(lambda: run("nbdcopy", "--flush", "--target-is-zero", source, uri))
        ending = time.monotonic()
    make_durable(target)
    return seconds + time.monotonic() - ending


def peer_qemu_img(source, target):
    def both():
        run("qemu-img", "convert", "-W", "-m", "16", "-f", "raw", source, "-O", "qcow2", target)
        make_durable(target)

    remove(target)
    return timed(both)


def peer_cp(source, target):
    def both():
        run("cp", source, target)
        make_durable(target)

    remove(target)
    return timed(both)


def base_copies(bench, raw):
    size = data_bytes(raw)
    source_socket, target_socket = (os.path.join(bench.fast, name) for name in ("source.sock", "target.sock"))

    for place, folder in (("memory", bench.fast), ("disk", bench.slow)):
        mine, theirs = os.path.join(folder, "ours.qcow2"), os.path.join(folder, "peer.qcow2")
        with nbdkit(raw, source_socket) as uri:
            bench.compare(f"base-nbd-to-{place}-nbdcopy", size, lambda: ours_copy(bench, uri, mine),
                          lambda: peer_nbdcopy(uri, bench.size_mib, theirs, target_socket))
            bench.compare(f"base-nbd-to-{place}-qemu-img", size, lambda: ours_copy(bench, uri, mine),
                          lambda: peer_qemu_img(uri, theirs))
        bench.compare(f"base-file-to-{place}-nbdcopy", size, lambda: ours_copy(bench, raw, mine),
                      lambda: peer_nbdcopy(raw, bench.size_mib, theirs, target_socket))
        bench.compare(f"base-file-to-{place}-qemu-img", size, lambda: ours_copy(bench, raw, mine),
                      lambda: peer_qemu_img(raw, theirs))
        bench.compare(f"base-file-to-{place}-cp", size, lambda: ours_copy(bench, raw, mine),
                      lambda: peer_cp(raw, theirs))
        # As the engine reads from a library in its own process: the same bytes, which its peers must fetch from a server.
        made_up = f"pattern:{bench.size_mib}M:75"
        with nbdkit(raw, source_socket) as uri:
            bench.compare(f"base-in-process-to-{place}-nbdcopy", size, lambda: ours_copy(bench, made_up, mine),
                          lambda: peer_nbdcopy(uri, bench.size_mib, theirs, target_socket))
            bench.compare(f"base-in-process-to-{place}-qemu-img", size, lambda: ours_copy(bench, made_up, mine),
                          lambda: peer_qemu_img(uri, theirs))
        if os.path.exists(mine) and os.path.exists(theirs):
            run("qemu-img", "compare", mine, theirs)
        remove(mine, theirs)


# ---- deltas ----


def peer_loop(bench, source, target, socket):
    """Ours too, but for the connection: one request at a time.  The end of qemu-nbd counts."""
    with qemu_nbd(target, socket) as uri:
        seconds = timed(lambda: run(bench.tool, "loop", source, uri, bench.delta_blocks))
        ending = time.monotonic()
    make_durable(target)
    return seconds + time.monotonic() - ending


def deltas(bench, raw):
    size = bench.delta_blocks * BLOCK
    source_socket, target_socket = (os.path.join(bench.fast, name) for name in ("source.sock", "target.sock"))

    for place, folder in (("memory", bench.fast), ("disk", bench.slow)):
        image, other = os.path.join(folder, "ours.qcow2"), os.path.join(folder, "peer.qcow2")
        ours_copy(bench, raw, image)
        shutil.copy(image, other)
        for name, delay in (("delta", None), ("delta-2ms", "2ms")):
            if delay and place == "disk":
                continue  # the latency of the source is all that counts, wherever the target lies
            with nbdkit(raw, source_socket, delay) as uri:
                bench.compare(f"{name}-to-{place}-loop", size,
                              lambda: bench.ours("delta", uri, image, bench.delta_blocks),
                              lambda: peer_loop(bench, uri, other, target_socket))
        run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, image)
        remove(image, other)


# ---- image files ----


def fill_mixed(path, size_mib):
    """In pieces of 1 MiB: half data of which a compressor makes half, a quarter zeros that are stored, a quarter hole."""
    half = [os.urandom(4096) + b"vmferry " * 512 for _ in range(128)]
    with open(path, "wb") as out:
        out.truncate(size_mib * MIB)
        for piece in range(size_mib):
            out.seek(piece * MIB)
            if piece % 4 < 2:
                out.write(b"".join(half[(piece + i) % 128] for i in range(128)))
            elif piece % 4 == 2:
                out.write(bytes(MIB))


def ours_convert(bench, source, target, *options):
    remove(target)
    return timed(lambda: run(bench.program, "image", "convert", *options, "-O", "qcow2", source, target))


def peer_convert(source, target, *options):
    def both():
        run("qemu-img", "convert", "-W", "-m", "16", *options, "-O", "qcow2", source, target)
        make_durable(target)

    remove(target)
    return timed(both)


def images(bench):
    kinds = {"raw-to-qcow2": [], "raw-to-qcow2-zlib": ["-c"],
             "raw-to-qcow2-zstd": ["-c", "-o", "compression_type=zstd"]}
    raw = os.path.join(bench.fast, "mixed.raw")
    fill_mixed(raw, bench.size_mib // 2)
    for place, folder in (("memory", bench.fast), ("disk", bench.slow)):
        mine, theirs = os.path.join(folder, "ours.qcow2"), os.path.join(folder, "peer.qcow2")
        for name, options in kinds.items():
            bench.compare(f"image-{name}-{place}", bench.size_mib // 2 * MIB,
                          lambda: ours_convert(bench, raw, mine, "-f", "raw", *options),
                          lambda: peer_convert(raw, theirs, "-f", "raw", *options))
        remove(mine, theirs)
    os.unlink(raw)
    empty, mine, theirs = (os.path.join(bench.fast, name) for name in ("empty.qcow2", "ours.qcow2", "peer.qcow2"))
    run("qemu-img", "create", "-q", "-f", "qcow2", empty, "16T")
    bench.compare("image-empty-16T", 0, lambda: ours_convert(bench, empty, mine), lambda: peer_convert(empty, theirs))


# ---- all ----


def warm_up(bench):
    """Touches the memory that the runs will use: the first touch of a page costs a virtual machine many times the second."""
    path = os.path.join(bench.fast, "warm")
    with open(path, "wb") as file:
        for _ in range(2 * max(bench.size_mib, bench.delta_mib)):
            file.write(bytes(MIB))
    os.unlink(path)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("build")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--only")
    parser.add_argument("--fast", default="/dev/shm", help="a folder in memory")
    parser.add_argument("--slow", default="/var/tmp", help="a folder on a disk")
    options = parser.parse_args()
    missing = [name for name in ("nbdkit", "nbdcopy", "qemu-nbd", "qemu-img") if not shutil.which(name)]
    if missing:
        sys.exit(f"bench.py: not installed: {', '.join(missing)}")
    bench = Bench(options)
    try:
        warm_up(bench)
        raw = os.path.join(bench.fast, "source.raw")
        bench.ours("fill", raw, f"{bench.size_mib}M", 75)
        base_copies(bench, raw)
        os.unlink(raw)
        images(bench)
        # On the disk and in its cache: a large file in tmpfs takes 10 ms to say where its data end, which a server does
        # for every connection, and there are more of ours than of the loop's.
        raw = os.path.join(bench.slow, "source.raw")
        bench.ours("fill", raw, f"{bench.delta_mib}M", 100)
        deltas(bench, raw)
    finally:
        bench.close()
    if options.json:
        json.dump({"results": bench.results, "peak_rss_kib": bench.peak_kib}, sys.stdout, indent=2)
        print()
    else:
        print(f"peak memory of ours: {bench.peak_kib / 1024:.1f} MiB")


main()
