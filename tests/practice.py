"""What the end-to-end tests and the demo share: a practice vSphere, a migration site beside it, and TAP.

A Lab is `vmferry lab` on a lab.yaml; a Site is a config, a spec, a state directory and a target directory; both live in one
temporary directory that goes when the test is over. Only Python's standard library is used.
"""
import base64
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

MIB = 1 << 20
# An ordinary user's PATH has neither mkfs.ext4 nor libvirtd.
os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


class Failure(Exception):
    """Something is not as it must be."""


class Skip(Exception):
    """A part that is needed is not here."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as text:
            return text.read()
    except FileNotFoundError:
        return ""


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, mode)


def run(*argv, ok=True, timeout=120, env=None):
    """Runs a command to its end; its output is in .stdout, both streams together."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=timeout, env=dict(os.environ, **env) if env else None)
    if ok and done.returncode != 0:
        raise Failure(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}")
    return done


def wait_for(what, seconds, condition, pause=0.1):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(pause)
    raise Failure(f"waited {seconds} s in vain for {what}")


class Lab:
    """The practice vSphere as a child process."""

    def __init__(self, vmferry, top, yaml):
        self.vmferry = vmferry
        self.top = top
        self.config = os.path.join(top, "lab.yaml")
        self.directory = os.path.join(top, "lab")
        self.ready = os.path.join(top, "lab-ready.json")
        self.log = os.path.join(top, "lab.log")
        self.child = None
        self.info = None
        self.port = 0
        write(self.config, f"directory: {self.directory}\n{yaml}")

    def start(self, wrapper=()):
        if os.path.exists(self.ready):
            os.unlink(self.ready)
        with open(self.log, "a", encoding="utf-8") as log:
            self.child = subprocess.Popen(
                [*wrapper, self.vmferry, "lab", "--port", str(self.port), "--ready-file", self.ready, self.config],
                stdout=log, stderr=log)

        def is_up():
            if self.child.poll() is not None:
                raise Failure("the lab ended:\n" + read(self.log)[-3000:])
            return read(self.ready)

        self.info = json.loads(wait_for("the lab", 60, is_up))
        self.port = int(re.search(r":(\d+)$", self.host).group(1))
        return self

    @property
    def host(self):
        return re.sub(r"^https://|/.*$", "", self.info["url"])

    def kill(self):
        """As a host that loses power."""
        self.child.kill()
        self.child.wait()

    def stop(self):
        if self.child is None or self.child.poll() is not None:
            return
        self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def ask(self, path, body=None):
        """GET, or POST of JSON, to the lab's own interface (docs/lab.md)."""
        request = urllib.request.Request(self.info["url"] + path,
                                         data=None if body is None else json.dumps(body).encode())
        token = base64.b64encode(f"{self.info['user']}:{self.info['password']}".encode()).decode()
        request.add_header("Authorization", "Basic " + token)
        try:
            with urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=60) as reply:
                text = reply.read()
        except urllib.error.HTTPError as problem:
            raise Failure(f"{path}: {problem.code} {problem.read().decode(errors='replace')}") from problem
        return json.loads(text) if text else None

    def fault(self, **faults):
        return self.ask("/lab/faults", faults)

    def state(self, moref):
        return self.ask(f"/lab/vms/{moref}")

    def act(self, moref, action, **arguments):
        return self.ask(f"/lab/vms/{moref}", dict(arguments, action=action))

    def flat(self, name):
        """The flat file of a disk: once its VM is off, the truth."""
        for folder, _, files in os.walk(self.directory):
            if f"{name}-flat.vmdk" in files:
                return os.path.join(folder, f"{name}-flat.vmdk")
        raise Failure(f"no disk {name} under {self.directory}")

    def files(self, pattern):
        return [os.path.join(folder, name) for folder, _, files in os.walk(self.directory) for name in files
                if re.search(pattern, name)]


class Site:
    """A migration host: config, spec, state, images."""

    def __init__(self, lab, top, vm, migration="", target="", vm_key="name", images=None):
        self.lab = lab
        self.top = top
        self.images = images or os.path.join(top, "images")
        self.state = os.path.join(top, "state")
        self.config = os.path.join(top, "config.yaml")
        self.spec = os.path.join(top, "spec.yaml")
        self.log = os.path.join(top, "vmferry.log")
        password = os.path.join(top, "password")
        write(password, lab.info["password"] + "\n", 0o600)
        write(self.config, f"""\
vcenter:
  host: {lab.host}
  user: {lab.info["user"]}
  password_file: {password}
  thumbprint: "{lab.info["thumbprint"]}"
migration:
  control_dir: {self.state}
""")
        self.write_spec(vm, migration, target, vm_key)

    def write_spec(self, vm, migration="", target="", vm_key="name"):
        def block(text):
            return "".join(f"  {line}\n" for line in text.strip().splitlines())

        defaults = {"delta_interval": "1", "finalize_settle_seconds": "none"}
        migration += "".join(f"\n{key}: {value}" for key, value in defaults.items() if f"{key}:" not in migration)
        write(self.spec, f"""\
vm:
  {vm_key}: {json.dumps(vm, ensure_ascii=False)}
migration:
{block(migration)}target:
  local:
    directory: {self.images}
    domain_type: qemu
{"".join("  " + line for line in block(target).splitlines(True))}""")

    def vmferry(self, command, *arguments, ok=True, timeout=240, env=None):
        return run(self.lab.vmferry, command, "--config", self.config, *arguments, ok=ok, timeout=timeout, env=env)

    def run(self, ok=True, env=None, timeout=240):
        return self.vmferry("run", "--spec", self.spec, ok=ok, env=env, timeout=timeout)

    def start(self, env=None, command="run"):
        """The worker beside us; its words go to the log."""
        with open(self.log, "a", encoding="utf-8") as log:
            return subprocess.Popen([self.lab.vmferry, command, "--config", self.config, "--spec", self.spec],
                                    stdout=log, stderr=log, env=dict(os.environ, **(env or {})))

    def status(self):
        done = self.vmferry("status", "--spec", self.spec, "--json", ok=False)
        try:
            return json.loads(done.stdout)[0]
        except (ValueError, IndexError, KeyError, TypeError):
            return {}

    def stage(self):
        return self.status().get("current_stage")

    def rounds(self):
        """Rounds that were closed, the base copy included."""
        return self.status().get("rounds") or 0

    def wait(self, worker, what, seconds, condition):
        """Waits for something that a worker does; its end before that is a failure."""

        def or_ended():
            if worker.poll() is not None:
                raise Failure(f"the worker ended with {worker.returncode} before {what}:\n{read(self.log)[-3000:]}")
            return condition()

        return wait_for(what, seconds, or_ended)

    def wait_rounds(self, worker, count, seconds=60):
        self.wait(worker, f"{count} rounds", seconds, lambda: self.rounds() >= count)

    def finalize(self, *arguments):
        return self.vmferry("finalize", "--spec", self.spec, *arguments)

    def image(self, key=None):
        names = [name for name in sorted(os.listdir(self.images)) if name.endswith(".qcow2")
                 and (key is None or f"disk{key}." in name)]
        check(len(names) == 1, f"expected one image for {key}, found {names}")
        return os.path.join(self.images, names[0])

    def prove(self, disks):
        """`disks`: device key -> lab disk name. Every image is what the source is, and sound."""
        for key, name in disks.items():
            image = self.image(key)
            compared = run("qemu-img", "compare", "-f", "qcow2", "-F", "raw", image, self.lab.flat(name), ok=False)
            check(compared.returncode == 0, f"disk {key}: {compared.stdout.strip()}")
            checked = run("qemu-img", "check", "-f", "qcow2", image, ok=False)
            check(checked.returncode == 0, f"disk {key}: {checked.stdout.strip()}")


class Tap:
    """Runs functions as the cases of one TAP program."""

    def __init__(self):
        self.cases = []

    def case(self, name):
        def register(function):
            self.cases.append((name, function))
            return function
        return register

    def add(self, name, function):
        self.cases.append((name, function))

    def main(self, only=None):
        cases = [case for case in self.cases if not only or re.search(only, case[0])]
        print(f"1..{len(cases)}", flush=True)
        failed = 0
        for number, (name, function) in enumerate(cases, 1):
            started = time.monotonic()
            try:
                function()
                print(f"ok {number} - {name} ({time.monotonic() - started:.1f} s)", flush=True)
            except Skip as reason:
                print(f"ok {number} - {name} # SKIP {reason}", flush=True)
            except Exception as problem:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {number} - {name}", flush=True)
                text = str(problem) if isinstance(problem, Failure) else traceback.format_exc()
                for line in text.splitlines()[-60:]:
                    print(f"# {line}", flush=True)
        return 1 if failed else 0


class Libvirt:
    """A libvirtd to define domains with: the one that runs, or one of our own for as long as the test lasts."""

    URI = "qemu:///system"

    def __init__(self):
        self.children = []

    def __enter__(self):
        if shutil.which("virsh") is None or shutil.which("libvirtd") is None:
            raise Skip("libvirt-daemon-system and libvirt-clients are not installed")
        if self.answers():
            return self
        if os.geteuid() != 0:
            raise Skip("no libvirtd runs, and starting one needs root")
        for daemon in ("virtlogd", "libvirtd"):
            self.children.append(subprocess.Popen([daemon], stdin=subprocess.DEVNULL,
                                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        try:
            wait_for("libvirtd", 30, self.answers)
        except Failure:
            self.__exit__(None, None, None)
            raise
        return self

    def answers(self):
        return self.virsh("version", ok=False).returncode == 0

    def virsh(self, *arguments, ok=True):
        return run("virsh", "-c", self.URI, *arguments, ok=ok)

    def remove(self, domain):
        self.virsh("destroy", domain, ok=False)
        self.virsh("undefine", "--nvram", domain, ok=False)

    def __exit__(self, kind, value, trace):
        for child in reversed(self.children):
            child.terminate()
            child.wait()


class Ground:
    """A temporary directory with a running lab in it: `with Ground(vmferry, yaml) as (top, lab)`."""

    def __init__(self, vmferry, yaml, start=True):
        self.vmferry, self.yaml, self.start = vmferry, yaml, start

    def __enter__(self):
        self.top = tempfile.mkdtemp(prefix="vmferry-test-")
        self.lab = Lab(self.vmferry, self.top, self.yaml)
        if self.start:
            self.lab.start()
        return self.top, self.lab

    def __exit__(self, kind, value, trace):
        self.lab.stop()
        if kind is not None and os.environ.get("VMFERRY_TEST_KEEP"):
            print(f"# left for a look: {self.top}", file=sys.stderr)
        else:
            if kind is not None:
                for name in ("lab.log", "vmferry.log"):
                    for line in read(os.path.join(self.top, name)).splitlines()[-15:]:
                        print(f"# {name}: {line}")
            shutil.rmtree(self.top, ignore_errors=True)
