#!/usr/bin/python3
"""The cases at which migrations fail in the field, each from the first byte to the proof.

usage: test-hard-cases.py VMFERRY [REGEX]
"""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True
from practice import MIB, Ground, Libvirt, Site, Skip, Tap, check, read, run  # noqa: E402

TAP = Tap()
VMFERRY = sys.argv[1] if len(sys.argv) > 1 else ""


def lab_yaml(vms, more=""):
    return f"""\
task_time: 10
page_size: 3
{more}datacenters:
  - name: DC1
    hosts: [esx1]
    networks: [VM Network]
    datastores:
      - name: ds1
    vms:
{vms}"""


def vm_yaml(name="web", moref="vm-100", disks=None, power="on", more="", writer="{rate: 1M, working_set: 8M, seed: 3}"):
    disks = disks or [f"{{controller: 0, unit: 0, size: 64M, name: {moref}, fill_percent: 50}}"]
    return (f"""\
      - name: {name}
        moref: {moref}
        datastore: ds1
        guest_id: debian12_64Guest
        power: {power}
        cbt: supported
        controllers: [{{type: pvscsi}}, {{type: lsilogic}}]
        disks:
""" + "".join(f"          - {disk}\n" for disk in disks) + f"        writer: {writer}\n" + more)


def migrate(site, warm_rounds=2, env=None, between=None, command="run"):
    """Runs the worker beside us, asks for the cutover after some rounds, and waits for its end."""
    worker = site.start(env=env, command=command)
    try:
        site.wait_rounds(worker, warm_rounds, 120)
        if between is not None:
            between(worker)
        site.vmferry("finalize", "--spec", site.spec)
        return worker.wait(180)
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def done(site, code, disks, lab, moref="vm-100"):
    check(code == 0, f"the worker ended with {code}:\n{read(site.log)[-3000:]}")
    check(site.stage() == "done", f"stage {site.stage()}")
    site.prove(disks)
    left = lab.state(moref)["snapshots"]
    check(not left, f"snapshots are left: {left}")


@TAP.case("two disks of one unit number on two controllers, one of them empty")
def same_unit():
    vm = vm_yaml(disks=["{controller: 0, unit: 0, size: 32M, name: a, fill_percent: 80}",
                        "{controller: 1, unit: 0, size: 24M, name: b, fill_percent: 10}",
                        "{controller: 1, unit: 1, size: 16M, name: empty}"],
                 writer="{rate: 512K, working_set: 4M, seed: 5}")
    with Ground(VMFERRY, lab_yaml(vm)) as (top, lab):
        site = Site(lab, top, "web")
        disks = {"2000": "a", "2016": "b", "2017": "empty"}
        done(site, migrate(site), disks, lab)
        check(len(os.listdir(site.images)) == 4, f"{os.listdir(site.images)}")


@TAP.case("an empty disk that nobody writes to")
def empty_disk():
    vm = vm_yaml(disks=["{controller: 0, unit: 0, size: 64M, name: void}"], writer="{rate: 0}")
    with Ground(VMFERRY, lab_yaml(vm)) as (top, lab):
        site = Site(lab, top, "web")
        done(site, migrate(site), {"2000": "void"}, lab)
        check(os.stat(site.image()).st_blocks * 512 < 2 * MIB, "an empty disk became a large image")


@TAP.case("a sparse disk of 3 TiB costs what is stored in it")
def huge_disk():
    vm = vm_yaml(disks=["{controller: 0, unit: 0, size: 3T, name: huge}"],
                 writer="{rate: 1M, working_set: 8M, seed: 5}")
    with Ground(VMFERRY, lab_yaml(vm)) as (top, lab):
        site = Site(lab, top, "web")
        started = time.monotonic()
        code = migrate(site)
        check(time.monotonic() - started < 90, "it took as long as its size")
        check(code == 0, f"ended with {code}:\n{read(site.log)[-3000:]}")
        image = run("qemu-img", "info", "--output=json", site.image()).stdout
        check('"virtual-size": 3298534883328' in image, image)
        done(site, code, {"2000": "huge"}, lab)


@TAP.case("a disk that is resized between two rounds")
def resized():
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        site = Site(lab, top, "web", migration="delta_interval: 3")

        def grow(worker):
            site.wait(worker, "a moment between rounds", 30, lambda: not lab.state("vm-100")["snapshots"])
            lab.act("vm-100", "resize-disk", disk=2000, size=96 * MIB)
            site.wait_rounds(worker, site.rounds() + 2)

        done(site, migrate(site, between=grow), {"2000": "vm-100"}, lab)


@TAP.case("a VM that is renamed in mid-migration, with a space and an umlaut")
def renamed():
    with Ground(VMFERRY, lab_yaml(vm_yaml(name="Grüne Datenbank"))) as (top, lab):
        site = Site(lab, top, "Grüne Datenbank")
        code = migrate(site, between=lambda _: lab.act("vm-100", "rename", name="Größer / 50%"))
        done(site, code, {"2000": "vm-100"}, lab)


@TAP.case("two VMs of one name: ambiguous by name, right by moref")
def twins():
    vms = vm_yaml(name="twin", moref="vm-100") + vm_yaml(name="other", moref="vm-101")
    yaml = lab_yaml(vms) + f"""\
  - name: DC2
    hosts: [esx2]
    networks: [VM Network]
    datastores:
      - name: ds1
    vms:
{vm_yaml(name="twin", moref="vm-200")}"""
    with Ground(VMFERRY, yaml) as (top, lab):
        site = Site(lab, top, "twin")
        refused = site.run(ok=False)
        check(refused.returncode != 0, "an ambiguous name was accepted")
        for moref in ("vm-100", "vm-200"):
            check(moref in refused.stdout, f"{moref} is not named: {refused.stdout}")
        site.write_spec("vm-200", vm_key="moref")
        done(site, migrate(site), {"2000": "vm-200"}, lab, moref="vm-200")


@TAP.case("a VM that is off needs no rounds and no snapshot")
def powered_off():
    with Ground(VMFERRY, lab_yaml(vm_yaml(power="off"))) as (top, lab):
        site = Site(lab, top, "web")
        site.run()
        done(site, 0, {"2000": "vm-100"}, lab)


@TAP.case("kill -9 of the lab: a clear error or a wait, then retry ends in the same bytes")
def lab_killed():
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        site = Site(lab, top, "web")
        worker = site.start()
        site.wait_rounds(worker, 2)
        lab.kill()
        time.sleep(2)
        lab.start()
        site.vmferry("finalize", "--spec", site.spec, ok=False)
        code = worker.wait(240)
        if code != 0:
            code = migrate(site, command="retry")
        done(site, code, {"2000": "vm-100"}, lab)


@TAP.case("sessions that expire in the middle of everything")
def expired():
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        site = Site(lab, top, "web")

        def expire(worker):
            for _ in range(5):
                lab.fault(expire_sessions=True)
                time.sleep(0.7)

        done(site, migrate(site, between=expire), {"2000": "vm-100"}, lab)


@TAP.case("a network that cuts replies, answers 503 and is slow")
def bad_network():
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        lab.fault(cut={"reply": 5, "bytes": 100000}, unavailable=3)
        site = Site(lab, top, "web")

        def worse(worker):
            for number in (3, 2, 4):
                lab.fault(cut={"reply": number, "bytes": 70000}, unavailable=2)
                time.sleep(1)

        done(site, migrate(site, between=worse), {"2000": "vm-100"}, lab)


@TAP.case("a network that says nothing for a while")
def silent_network():
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        site = Site(lab, top, "web")

        def hold(worker):
            lab.child.send_signal(signal.SIGSTOP)
            time.sleep(5)
            lab.child.send_signal(signal.SIGCONT)
            site.wait_rounds(worker, site.rounds() + 1)

        done(site, migrate(site, between=hold), {"2000": "vm-100"}, lab)


@TAP.case("libvirt has the machine: firmware, processors, memory, disks in order, MAC")
def through_libvirt():
    vm = vm_yaml(name="Über uns", disks=["{controller: 0, unit: 0, size: 16M, name: root, fill_percent: 50}",
                                         "{controller: 1, unit: 0, size: 8M, name: data, fill_percent: 50}"],
                 writer="{rate: 0}", more="        firmware: efi\n        cpus: 2\n        memory: 300M\n"
                 "        nics: [{network: VM Network, mac: \"00:50:56:9a:0b:0c\"}]\n")
    with Libvirt() as libvirt, Ground(VMFERRY, lab_yaml(vm)) as (top, lab):
        os.chmod(top, 0o755)
        site = Site(lab, top, "Über uns", target=f"define: true\nlibvirt_uri: {libvirt.URI}\n"
                    "networks: {VM Network: \"bridge:br7\"}")
        try:
            done(site, migrate(site), {"2000": "root", "2016": "data"}, lab)
            xml = libvirt.virsh("dumpxml", "Über uns").stdout
            for part in ("firmware='efi'", "<vcpu placement='static'>2</vcpu>", ">307200</memory>", "00:50:56:9a:0b:0c",
                         "bridge='br7'"):
                check(part in xml, f"{part} is not in the domain")
            check(xml.index("disk2000") < xml.index("disk2016"), "the disks changed places")
            check("done already" in site.run().stdout, "a second run of what is done was no success")
            site.vmferry("rollback", "--spec", site.spec)
            check(libvirt.virsh("domstate", "Über uns", ok=False).returncode != 0, "the domain is still there")
        finally:
            libvirt.remove("Über uns")


@TAP.case("a change id that is reset: the disk is read again and compared")
def reset_change_id():
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        site = Site(lab, top, "web", migration="delta_interval: 2")

        def reset(worker):
            lab.fault(reset_change_id={"vm": "vm-100", "disk": 2000})
            site.wait_rounds(worker, site.rounds() + 2)

        done(site, migrate(site, between=reset), {"2000": "vm-100"}, lab)


@TAP.case("a full disk: a clear error, nothing lost, retry after making room")
def full_disk():
    if os.geteuid() != 0:
        raise Skip("needs root for a loop mount")
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        site = Site(lab, top, "web", migration="checkpoint: 1")
        volume = os.path.join(top, "volume")
        run("truncate", "-s", "64M", volume)
        run("mkfs.ext4", "-q", "-F", volume)
        os.makedirs(site.images)
        if run("mount", "-o", "loop", volume, site.images, ok=False).returncode != 0:
            raise Skip("no loop mounts here")
        try:
            ballast = os.path.join(site.images, "ballast")
            worker = site.start(env={"VMFERRY_TEST_SLOW": ""})
            site.wait(worker, "the image", 30, lambda: any(name.endswith(".qcow2") for name in os.listdir(site.images)))
            run("dd", "if=/dev/zero", f"of={ballast}", "bs=1M", "count=64", ok=False)
            code = worker.wait(120)
            check(code != 0, "a full disk was reported as success")
            check("full" in read(site.log) or "space" in read(site.log), read(site.log)[-2000:])
            os.unlink(ballast)
            done(site, migrate(site, command="retry"), {"2000": "vm-100"}, lab)
        finally:
            run("umount", "-l", site.images, ok=False)


@TAP.case("cancel removes snapshots, and files when asked; the source runs")
def cancelled():
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        site = Site(lab, top, "web")
        worker = site.start()
        site.wait_rounds(worker, 2)
        site.vmferry("cancel", "--spec", site.spec, "--delete-files")
        code = worker.wait(60)
        check(code != 0, "a cancelled migration ended as if it were done")
        check(site.stage() == "cancelled", f"stage {site.stage()}")
        state = lab.state("vm-100")
        check(not state["snapshots"] and state["power"] in ("on", "poweredOn"), f"{state}")
        check(not [name for name in os.listdir(site.images) if name.endswith(".qcow2")], "images are left")


@TAP.case("a second engine on the same VM is refused")
def two_engines():
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        site = Site(lab, top, "web")
        worker = site.start()
        try:
            site.wait_rounds(worker, 1)
            second = site.run(ok=False)
            check(second.returncode != 0, "a second engine ran")
            check("pid" in second.stdout, second.stdout)
        finally:
            site.vmferry("finalize", "--spec", site.spec, ok=False)
            code = worker.wait(120)
        done(site, code, {"2000": "vm-100"}, lab)


@TAP.case("SIGINT stops at a checkpoint, retry goes on")
def interrupted():
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        site = Site(lab, top, "web")
        worker = site.start()
        site.wait_rounds(worker, 1)
        worker.send_signal(signal.SIGINT)
        check(worker.wait(60) != 0, "an interrupted run ended as if it were done")
        done(site, migrate(site, command="retry"), {"2000": "vm-100"}, lab)


@TAP.case("no Tools: waits for the operator, force goes on")
def no_tools():
    vm = vm_yaml(more="        tools: notRunning\n")
    with Ground(VMFERRY, lab_yaml(vm)) as (top, lab):
        site = Site(lab, top, "web")
        worker = site.start()
        site.wait_rounds(worker, 2)
        site.finalize()
        site.wait(worker, "the question", 60, lambda: site.stage() == "awaiting_shutdown_action")
        time.sleep(1)
        check(lab.state("vm-100")["power"] in ("on", "poweredOn"), "it was switched off without asking")
        site.vmferry("finalize", "--spec", site.spec, "--shutdown", "force")
        done(site, worker.wait(60), {"2000": "vm-100"}, lab)


@TAP.case("rollback after the cutover: the source runs again")
def rolled_back():
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        site = Site(lab, top, "web")
        done(site, migrate(site), {"2000": "vm-100"}, lab)
        site.vmferry("rollback", "--spec", site.spec)
        check(site.stage() == "rolled_back", f"stage {site.stage()}")
        check(lab.state("vm-100")["power"] in ("on", "poweredOn"), "the source is off")


@TAP.case("verify notices one flipped byte in the target")
def verify_notices():
    with Ground(VMFERRY, lab_yaml(vm_yaml())) as (top, lab):
        site = Site(lab, top, "web")
        done(site, migrate(site), {"2000": "vm-100"}, lab)
        check(site.vmferry("verify", "--spec", site.spec).returncode == 0, "verify fails on a good image")
        run("qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 1M 512", site.image())
        bad = site.vmferry("verify", "--spec", site.spec, ok=False)
        check(bad.returncode != 0, "verify did not notice")


if __name__ == "__main__":
    sys.exit(TAP.main(sys.argv[2] if len(sys.argv) > 2 else None))
