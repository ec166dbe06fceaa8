#!/usr/bin/python3
"""The command line as scripts and operators see it: exit codes, messages, JSON, several VMs at once, secrets.

usage: test-cli.py VMFERRY [REGEX]
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True
from practice import Ground, Site, Tap, check, read, run, wait_for, write  # noqa: E402

TAP = Tap()
VMFERRY = sys.argv[1] if len(sys.argv) > 1 else ""

LAB = """\
task_time: 10
datacenters:
  - name: DC1
    hosts: [esx1]
    networks: [VM Network]
    datastores:
      - name: ds1
    vms:
""" + "".join(f"""\
      - name: {name}
        moref: {moref}
        datastore: ds1
        guest_id: debian12_64Guest
        power: on
        cbt: supported
        controllers: [{{type: pvscsi}}]
        disks: [{{controller: 0, unit: 0, size: 16M, name: {name}, fill_percent: 50}}]
        writer: {{rate: 256K, working_set: 2M, seed: 3}}
""" for name, moref in (("web", "vm-100"), ("db", "vm-101"), ("mail", "vm-102")))


def vmferry(*argv, stdin=None, cwd=None):
    return subprocess.run([VMFERRY, *argv], stdin=stdin, cwd=cwd, capture_output=True, text=True, timeout=60,
                          check=False)


def expect(code, part, *argv):
    """The exit code, one message on standard error that is marked as ours, and nothing on standard output."""
    done = vmferry(*argv)
    check(done.returncode == code, f"{argv} ended with {done.returncode}, not {code}:\n{done.stderr}")
    lines = done.stderr.splitlines()
    check(lines and all(line.startswith("vmferry: ") for line in lines), done.stderr)
    check(part in done.stderr, f"{argv}: {part!r} is not in {done.stderr!r}")
    check(done.stdout == "", done.stdout)


def several(site, names):
    """A spec with a list."""
    write(site.spec, "vms:\n" + "".join(f"""\
- vm: {{name: {name}}}
  migration: {{delta_interval: 1, finalize_settle_seconds: none}}
  target: {{local: {{directory: {site.images}, domain_type: qemu}}}}
""" for name in names))


@TAP.case("what is wrong has an exit code, and is said in a line")
def wrong():
    with tempfile.TemporaryDirectory() as top:
        state, spec = os.path.join(top, "state"), os.path.join(top, "bad.yaml")
        write(spec, "vm: {nam: web}\nmigraton: {readers: 99}\n")
        expect(2, "there is no command fly", "fly")
        expect(2, "--fast", "run", "--fast")
        expect(2, "no spec was given", "run", "--control-dir", state)
        expect(2, "--readers 99 is out of range", "run", "--readers", "99", spec)
        expect(2, "force or done", "finalize", "--shutdown", "maybe", "--control-dir", state)
        expect(2, "did you mean migration?", "preflight", spec)
        expect(2, "bad.yaml:1: vm.nam: unknown key; did you mean name?", "preflight", spec)
        expect(4, "nowhere.yaml", "run", "--control-dir", state, os.path.join(top, "nowhere.yaml"))
        expect(4, "no migration of web", "finalize", "--control-dir", state, "web")
        expect(2, "vcenter.host", "inventory", "--config", "/dev/null")
        expect(4, "no-config.yaml", "inventory", "--config", os.path.join(top, "no-config.yaml"))
        expect(2, "takes no argument", "demo", "now")
        expect(7, "127.0.0.1", "cert", "127.0.0.1:1")


@TAP.case("help and version are success, and need nothing")
def helps():
    check("Commands:" in vmferry("--help").stdout, "no list of commands")
    check(vmferry("--version").stdout.startswith("vmferry "), "no version")
    check(vmferry().returncode == 2, "no command is no success")
    for line in vmferry("--help").stdout.splitlines():
        if line.startswith("  ") and line[2].isalpha():
            done = vmferry(line.split()[0], "--help")
            check(done.returncode == 0 and "Example:" in done.stdout, f"{line}: {done.stderr}")


@TAP.case("the certificate that is shown can be pinned, another cannot")
def pinned():
    with Ground(VMFERRY, LAB) as (top, lab):
        site = Site(lab, top, "web")
        shown = json.loads(vmferry("cert", "--json", lab.host).stdout)
        check(shown["sha1"] == lab.info["thumbprint"], f"{shown}")
        config = read(site.config)
        write(site.config, config.replace(lab.info["thumbprint"], shown["sha256"]))
        check(site.vmferry("inventory").returncode == 0, "the SHA-256 cannot be pinned")
        write(site.config, config.replace(lab.info["thumbprint"], "00" * 20))
        expect(3, shown["sha1"], "inventory", "--config", site.config)


@TAP.case("inventory and preflight are JSON that a script can read")
def read_by_scripts():
    with Ground(VMFERRY, LAB) as (top, lab):
        site = Site(lab, top, "db")
        vms = json.loads(vmferry("inventory", "--config", site.config, "--json").stdout)
        check([vm["path"] for vm in vms] == ["/DC1/vm/db", "/DC1/vm/mail", "/DC1/vm/web"], f"{vms}")
        check(vms[0]["disks"][0]["size"] == 16 << 20 and vms[0]["power_state"] == "poweredOn", f"{vms[0]}")
        stores = json.loads(vmferry("inventory", "--config", site.config, "--datastores", "--json").stdout)
        check([store["name"] for store in stores] == ["ds1"], f"{stores}")
        found = json.loads(vmferry("preflight", "--config", site.config, "--json", site.spec).stdout)
        check(found[0]["vm_moref"] == "vm-101" and found[0]["ok"], f"{found}")
        state = json.loads(vmferry("status", "--config", site.config, "--json", site.spec).stdout)
        check(state[0]["current_stage"] == "not_started" and state[0]["id"] is None, f"{state}")


@TAP.case("several VMs at once, one of them fails: the others finish, the errors are joined")
def joined():
    with Ground(VMFERRY, LAB) as (top, lab):
        site = Site(lab, top, "web")
        several(site, ["web", "db", "mail"])
        worker = site.start()
        def warm():
            rows = json.loads(site.vmferry("status", "--spec", site.spec, "--json").stdout)
            return all((row.get("rounds") or 0) >= 1 for row in rows) and rows
        rows = wait_for("a round of each", 60, warm)
        check(all(row["worker"] for row in rows), f"{rows}")
        check(len({row["worker"] for row in rows}) == 3, "they share a process")
        site.vmferry("cancel", "--vm", "db")
        site.vmferry("finalize", "--vm", "web", "--vm", "mail")
        code = worker.wait(60)
        check(code == 11, f"it ended with {code}:\n{read(site.log)}")
        check("vmferry: db: cancelled" in read(site.log), read(site.log))
        stages = {row["vm_name"]: row["current_stage"]
                  for row in json.loads(site.vmferry("status", "--json").stdout)}
        check(stages == {"web": "done", "mail": "done", "db": "cancelled"}, f"{stages}")
        check(read(os.path.join(site.state, "logs", "1.log")) != "", "the first has no log")


@TAP.case("no more VMs at once than asked for; SIGTERM stops those that run and starts no other")
def at_once():
    with Ground(VMFERRY, LAB) as (top, lab):
        site = Site(lab, top, "web")
        several(site, ["web", "db", "mail"])
        log = open(site.log, "a", encoding="utf-8")
        worker = subprocess.Popen([VMFERRY, "run", "--config", site.config, "--parallel-vms", "2", site.spec],
                                  stdout=log, stderr=log)
        def two():
            rows = json.loads(site.vmferry("status", "--json").stdout)
            return len([row for row in rows if row["worker"]]) == 2 and rows
        wait_for("two workers", 30, two)
        time.sleep(1.5)
        check(two(), "there are not two workers any more")
        worker.send_signal(signal.SIGTERM)
        check(worker.wait(30) == 11, read(site.log))
        rows = json.loads(site.vmferry("status", "--json").stdout)
        check(not any(row["worker"] for row in rows), "a worker is left")
        check("vmferry: mail: not started" in read(site.log), read(site.log))


@TAP.case("the password is in no argument, log, answer or file of the state")
def secret():
    with Ground(VMFERRY, LAB) as (top, lab):
        site = Site(lab, top, "web")
        several(site, ["web", "db"])
        password = lab.info["password"]
        worker = site.start()
        wait_for("a worker", 30, lambda: os.path.exists(os.path.join(site.state, "logs", "1.log")))
        time.sleep(1)
        seen = run("ps", "-eo", "args").stdout + site.vmferry("status", "--json").stdout
        worker.send_signal(signal.SIGINT)
        worker.wait(30)
        seen += read(site.log)
        for folder, _, names in os.walk(site.state):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    seen += file.read().decode(errors="replace")
        check(password not in seen, "the password can be read")


@TAP.case("status --watch ends when nothing more will happen")
def watched():
    with Ground(VMFERRY, LAB) as (top, lab):
        site = Site(lab, top, "web")
        worker = site.start()
        wait_for("a round", 60, lambda: (site.status().get("rounds") or 0) >= 1)
        watcher = subprocess.Popen([VMFERRY, "status", "--config", site.config, "--watch", site.spec],
                                   stdout=subprocess.PIPE, text=True)
        site.finalize()
        check(worker.wait(60) == 0, read(site.log))
        text = watcher.communicate(timeout=30)[0]
        check(watcher.returncode == 0 and "web: done" in text, text)
        before = site.status()["rounds"]
        check(before >= 3 and site.vmferry("verify", "web").returncode == 0, f"{before} rounds")
        check(site.status()["rounds"] == before, "verify made it forget its rounds")


if __name__ == "__main__":
    sys.exit(TAP.main(sys.argv[2] if len(sys.argv) > 2 else None))
