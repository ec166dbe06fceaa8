#!/usr/bin/python3
"""The examples of vmferry-image(1), run one after the other as they stand there.

usage: test-examples.py VMFERRY PAGE
"""
import os
import re
import shlex
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from imagetest import MIB, VMFERRY, Folder, Tap, check, make_raw  # noqa: E402

TAP = Tap()


def examples(page):
    with open(page, encoding="utf-8") as text:
        blocks = re.findall(r"^\.EX\n(.*?)^\.EE", text.read(), re.M | re.S)
    return [line.replace("\\-", "-") for block in blocks for line in block.splitlines() if line]


@TAP.case("every example of the page works as it stands")
def all_of_them():
    lines = examples(sys.argv[2])
    check(len(lines) >= 8, f"only {lines} were found")
    with Folder() as folder:
        make_raw(folder("disk.raw"), 3 * MIB)
        for line in lines:
            program, *arguments = shlex.split(line)
            check(program == "vmferry", line)
            done = subprocess.run([VMFERRY, *arguments], cwd=folder(""), capture_output=True, text=True, check=False,
                                  timeout=60)
            check(done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}")


sys.exit(TAP.main())
