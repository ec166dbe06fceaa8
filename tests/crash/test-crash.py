#!/usr/bin/python3
"""kill -9 of the engine at every named point, then retry: the same bytes, no snapshot left, no round skipped.

usage: test-crash.py VMFERRY CRASH-POINTS [REGEX]     CRASH-POINTS is the program that prints the table
"""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True
from practice import Failure, Ground, Libvirt, Site, Tap, check, read, run  # noqa: E402

LAB = """\
task_time: 10
page_size: 3
datacenters:
  - name: DC1
    hosts: [esx1]
    networks: [VM Network]
    datastores:
      - name: ds1
    vms:
      - name: crash me
        moref: vm-100
        datastore: ds1
        guest_id: debian12_64Guest
        power: on
        cbt: supported
        controllers:
          - type: pvscsi
          - type: lsilogic
        disks:
          - {controller: 0, unit: 0, size: 48M, name: crash, fill_percent: 60}
          - {controller: 1, unit: 0, size: 16M, name: crash_1, fill_percent: 20}
        nics:
          - network: VM Network
        writer: {rate: 1M, working_set: 8M, seed: 7}
"""
DISKS = {"2000": "crash", "2016": "crash_1"}


def finalize_when_warm(site, worker):
    """Asks for the cutover once a warm round was made, or when the worker is gone."""
    asked = False
    while worker.poll() is None:
        if not asked and site.rounds() >= 2:
            site.vmferry("finalize", "--spec", site.spec, ok=False)
            asked = True
        try:
            worker.wait(0.2)
        except subprocess.TimeoutExpired:
            pass
    return worker.returncode


def go_on(site):
    """What an operator does after a crash: retry, and finalize if that was not asked for yet."""
    worker = site.start(command="retry")
    code = finalize_when_warm(site, worker)
    check(code == 0, f"retry ended with {code}:\n{read(site.log)[-3000:]}")


def rounds_in_order(site):
    numbers = [entry["number"] for entry in site.status().get("round_list", [])]
    check(numbers and numbers == list(range(len(numbers))), f"rounds {numbers}")


def case(vmferry, point):
    def crash():
        with Ground(vmferry, LAB) as (top, lab):
            kill_and_go_on(lab, Site(lab, top, "crash me", migration="checkpoint: 1\nreaders: 2"), point)
    return crash


def case_with_libvirt(vmferry, point):
    """A point that is only met when the target is started."""
    def crash():
        with Libvirt() as libvirt, Ground(vmferry, LAB) as (top, lab):
            os.chmod(top, 0o755)
            target = f"define: true\nstart: true\nlibvirt_uri: {libvirt.URI}\nnetwork: none"
            site = Site(lab, top, "crash me", migration="checkpoint: 1\nreaders: 2", target=target)
            try:
                kill_and_go_on(lab, site, point, prove=False)
                check("running" in libvirt.virsh("domstate", "crash me").stdout, "the target does not run")
                libvirt.virsh("destroy", "crash me")
                site.prove(DISKS)
            finally:
                libvirt.remove("crash me")
    return crash


def kill_and_go_on(lab, site, point, prove=True):
    worker = site.start(env={"VMFERRY_CRASH_AT": point})
    code = finalize_when_warm(site, worker)
    check(code == -signal.SIGKILL, f"it was not killed at {point} but ended with {code}:\n{read(site.log)[-3000:]}")
    go_on(site)
    check(site.stage() == "done", f"stage {site.stage()}")
    if prove:
        site.prove(DISKS)
    state = lab.state("vm-100")
    check(not state["snapshots"], f"snapshots are left: {state['snapshots']}")
    check(state["power"] in ("off", "poweredOff"), f"the source is {state['power']}")
    rounds_in_order(site)
    if prove:
        site.vmferry("verify", "--spec", site.spec)


def main():
    vmferry, table = sys.argv[1:3]
    points = run(table).stdout.split()
    if len(points) < 25:
        raise Failure(f"only {len(points)} crash points")
    tap = Tap()
    for point in points:
        tap.add(point, (case_with_libvirt if point == "import.started" else case)(vmferry, point))
    return tap.main(sys.argv[3] if len(sys.argv) > 3 else None)


if __name__ == "__main__":
    sys.exit(main())
