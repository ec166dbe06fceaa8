"""What vCenter refuses, the lab refuses; what goes wrong on demand goes wrong as asked."""
import base64
import http.client
import json
import ssl
import sys
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ET

import labtest

MIB = 1 << 20
SOAP = ('<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        '<{name} xmlns="urn:vim25"><_this type="{type}">{moref}</_this>{body}</{name}></soapenv:Body></soapenv:Envelope>')
VIM = "{urn:vim25}"


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        self.xml = ET.fromstring(self.body) if "xml" in response.headers.get("Content-Type", "") else None

    def fault(self):
        detail = self.xml.find(".//detail")
        return None if detail is None else detail[0].get("{http://www.w3.org/2001/XMLSchema-instance}type")

    def text(self, name):
        return self.xml.findtext(f".//{VIM}{name}")

    def texts(self, name):
        return [e.text for e in self.xml.iter(VIM + name)]


class Client:
    def __init__(self, lab):
        self.lab, self.cookie = lab, None

    def request(self, method, target, body=None, **headers):
        connection = http.client.HTTPSConnection(self.lab.host, self.lab.port, timeout=30,
                                                 context=ssl._create_unverified_context())
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        connection.request(method, target, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = Answer(connection.getresponse())
        connection.close()
        set_cookie = answer.headers.get("Set-Cookie")
        if set_cookie:
            self.cookie = set_cookie.split(";")[0]
        return answer

    def call(self, name, type_, moref, body="", action="urn:vim25/6.7"):
        text = SOAP.format(name=name, type=type_, moref=moref, body=body).encode()
        headers = {"Content_Type": 'text/xml; charset="utf-8"'}
        if action:
            headers["SOAPAction"] = f'"{action}"'
        return self.request("POST", "/sdk", text, **headers)

    def vm(self, name, moref, body="", **more):
        return self.call(name, "VirtualMachine", moref, body, **more)

    def login(self):
        return self.call("Login", "SessionManager", "SessionManager",
                         f"<userName>{self.lab.user}</userName><password>{self.lab.password}</password>")

    def read(self, type_, moref, path):
        return self.call("RetrievePropertiesEx", "PropertyCollector", "propertyCollector",
                         f"<specSet><propSet><type>{type_}</type><pathSet>{path}</pathSet></propSet><objectSet>"
                         f'<obj type="{type_}">{moref}</obj></objectSet></specSet><options/>')

    def task(self, answer):
        """Waits for the task that a method gave: its state, and its result or the type of its fault."""
        moref = answer.text("returnval")
        while True:
            info = self.read("Task", moref, "info")
            if info.text("state") in ("success", "error"):
                break
            time.sleep(0.02)
        fault = info.xml.find(f".//{VIM}fault")
        if fault is not None:
            return "error", fault.get("{http://www.w3.org/2001/XMLSchema-instance}type")
        return "success", info.text("result")

    def lab_control(self, target, **body):
        basic = base64.b64encode(f"{self.lab.user}:{self.lab.password}".encode()).decode()
        answer = self.request("POST" if body else "GET", "/lab" + target, json.dumps(body) if body else None,
                              Authorization="Basic " + basic)
        return answer.status, json.loads(answer.body)

    def folder(self, path, method="GET", datastore="ds1", datacenter="Europe/Köln/DC1", **headers):
        query = urllib.parse.urlencode({"dcPath": datacenter, "dsName": datastore}, quote_via=urllib.parse.quote)
        return self.request(method, "/folder/" + urllib.parse.quote(path) + "?" + query, **headers)


CREATE = "<name>s</name><memory>false</memory><quiesce>false</quiesce>"


def query(snapshot, key=2000, start=0, change_id="*"):
    given = f'<snapshot type="VirtualMachineSnapshot">{snapshot}</snapshot>' if snapshot else ""
    return f"{given}<deviceKey>{key}</deviceKey><startOffset>{start}</startOffset><changeId>{change_id}</changeId>"


def check_sessions(tap, client):
    content = client.call("RetrieveServiceContent", "ServiceInstance", "ServiceInstance")
    tap.equal((content.status, content.text("rootFolder")[:7]), (200, "group-d"), "ServiceContent needs no login")
    tap.ok(client.cookie.startswith("vmware_soap_session="), "the cookie comes with the first answer")
    for name, type_, moref in [("CurrentTime", "ServiceInstance", "ServiceInstance"),
                               ("PowerOnVM_Task", "VirtualMachine", "vm-100"),
                               ("PowerOnVM_Task", "VirtualMachine", "vm-999"),
                               ("Logout", "SessionManager", "SessionManager")]:
        tap.equal(client.call(name, type_, moref).fault(), "NotAuthenticated", f"{name} of {moref} needs a login")
    wrong = client.call("Login", "SessionManager", "SessionManager", "<userName>x</userName><password>y</password>")
    tap.equal((wrong.status, wrong.fault()), (500, "InvalidLogin"), "a wrong password")
    first = client.cookie
    tap.equal(client.login().status, 200, "the right one")
    tap.ok(client.cookie != first, "the login changes the cookie")
    tap.equal(client.call("CurrentTime", "ServiceInstance", "ServiceInstance").status, 200, "and now it answers")


def check_requests(tap, client):
    for name, answer, fault in [
            ("an unknown method", client.vm("Frobnicate", "vm-100"), "InvalidRequest"),
            ("a method of another type", client.vm("Logout", "vm-100"), "MethodNotFound"),
            ("an unknown moref", client.vm("PowerOnVM_Task", "vm-999"), "ManagedObjectNotFound"),
            ("a moref under a wrong type", client.call("PowerOnVM_Task", "VirtualMachine", "group-d1"),
             "ManagedObjectNotFound"),
            ("an unknown property", client.read("VirtualMachine", "vm-100", "config.nonsense"), "InvalidProperty"),
            ("a property of no type", client.read("VirtualMachin", "vm-100", "name"), "InvalidType"),
            ("a path into an array", client.read("VirtualMachine", "vm-100", "config.hardware.device.key"),
             "InvalidProperty"),
            ("a parameter that is missing", client.vm("CreateSnapshot_Task", "vm-100", "<name>x</name>"),
             "InvalidRequest"),
            ("parameters in the wrong order", client.vm("CreateSnapshot_Task", "vm-100",
             "<memory>false</memory><name>s</name><quiesce>false</quiesce>"), "InvalidRequest"),
            ("a parameter that does not exist", client.vm("PowerOffVM_Task", "vm-100", "<force>true</force>"),
             "InvalidRequest"),
            ("no boolean", client.vm("CreateSnapshot_Task", "vm-100", CREATE.replace("false", "maybe")),
             "InvalidArgument"),
            ("a version from the future", client.vm("PowerOnVM_Task", "vm-100", action="urn:vim25/99.0"),
             "InvalidRequest"),
            ("a method newer than the version", client.vm("CreateSnapshotEx_Task", "vm-100",
             "<name>s</name><memory>false</memory>", action="urn:vim25/6.0"), "InvalidRequest"),
            ("change tracking without SOAPAction", client.vm("QueryChangedDiskAreas", "vm-101", query(None),
             action=None), "InvalidRequest"),
            ("a token that is none", client.call("ContinueRetrievePropertiesEx", "PropertyCollector",
             "propertyCollector", "<token>77</token>"), "InvalidArgument"),
            ("a collector version that is none", client.call("WaitForUpdatesEx", "PropertyCollector",
             "propertyCollector", "<version>77</version>"), "InvalidCollectorVersion"),
            ("a view of no entity", client.call("CreateContainerView", "ViewManager", "ViewManager",
             '<container type="Folder">group-d1</container><type>Task</type><recursive>true</recursive>'),
             "InvalidArgument"),
            ("a hardware change beyond the lab", client.vm("ReconfigVM_Task", "vm-101",
             "<spec><numCPUs>4</numCPUs></spec>"), "NotSupported"),
            ("change tracking where it is unsupported", client.vm("ReconfigVM_Task", "vm-102",
             "<spec><changeTrackingEnabled>true</changeTrackingEnabled></spec>"), "NotSupported"),
            ("a name that is taken", client.call("Rename_Task", "VirtualMachine", "vm-102", "<newName>web</newName>"),
             "DuplicateName"),
            ("ShutdownGuest without Tools", client.vm("ShutdownGuest", "vm-102"), "ToolsUnavailable"),
            ("ShutdownGuest when off", client.vm("ShutdownGuest", "vm-101"), "InvalidPowerState"),
            ("an unknown privilege", client.call("HasPrivilegeOnEntity", "AuthorizationManager",
             "AuthorizationManager", '<entity type="Folder">group-d1</entity><sessionId>x</sessionId>'
             "<privId>Root.Everything</privId>"), "InvalidArgument")]:
        tap.equal((answer.status, answer.fault()), (500, fault), name)
    tap.equal(client.request("POST", "/sdk", "<nonsense", SOAPAction="urn:vim25/6.7").fault(), "InvalidRequest",
              "what is no XML")
    tap.equal(client.request("GET", "/sdk").status, 405, "GET of the API")
    versions = client.request("GET", "/sdk/vimServiceVersions.xml")
    tap.ok("6.7.1" in [e.text for e in versions.xml.iter("version")], "the versions are listed")


def check_tasks(tap, client):
    tap.equal(client.task(client.vm("PowerOffVM_Task", "vm-101")), ("error", "InvalidPowerState"), "off when it is off")
    tap.equal(client.task(client.vm("PowerOnVM_Task", "vm-100")), ("error", "InvalidPowerState"), "on when it is on")
    first = client.vm("CreateSnapshot_Task", "vm-100", CREATE)
    second = client.vm("CreateSnapshot_Task", "vm-100", CREATE)
    tap.equal(second.fault(), "TaskInProgress", "a snapshot while another is being made")
    tap.equal(client.vm("PowerOffVM_Task", "vm-100").fault(), "TaskInProgress", "power while a snapshot is being made")
    state, snapshot = client.task(first)
    tap.equal(state, "success", "the first one is made")
    for name, answer, fault in [
            ("areas without tracking", client.vm("QueryChangedDiskAreas", "vm-100", query(snapshot)), "FileFault"),
            ("areas of a running VM without a snapshot", client.vm("QueryChangedDiskAreas", "vm-100", query(None)),
             "InvalidArgument"),
            ("areas of a snapshot of another VM", client.vm("QueryChangedDiskAreas", "vm-103", query(snapshot)),
             "InvalidArgument"),
            ("a resize under a snapshot", client.vm("ReconfigVM_Task", "vm-100", "<spec><deviceChange><operation>edit"
             '</operation><device xsi:type="VirtualDisk"><key>2000</key><capacityInKB>65536</capacityInKB></device>'
             "</deviceChange></spec>"), "GenericVmConfigFault")]:
        tap.equal(answer.fault(), fault, name)
    removal = f'<removeChildren>false</removeChildren>'
    tap.equal(client.task(client.call("RemoveSnapshot_Task", "VirtualMachineSnapshot", snapshot, removal))[0],
              "success", "it is removed")
    tap.equal(client.call("RemoveSnapshot_Task", "VirtualMachineSnapshot", snapshot, removal).fault(),
              "ManagedObjectNotFound", "and is gone")


def check_areas(tap, client):
    before = client.read("VirtualMachine", "vm-103", "snapshot").texts("snapshot")[0]
    tap.equal(client.vm("QueryChangedDiskAreas", "vm-103", query(before)).fault(), "FileFault",
              "areas of a snapshot older than the tracking")
    state, snapshot = client.task(client.vm("CreateSnapshot_Task", "vm-103", CREATE))
    tap.equal(state, "success", "a snapshot")
    size = 8 * MIB
    for name, body, fault in [
            ("an offset at the end", query(snapshot, start=size), "InvalidArgument"),
            ("an offset below zero", query(snapshot, start=-512), "InvalidArgument"),
            ("no such disk", query(snapshot, key=2005), "InvalidArgument"),
            ("an independent disk", query(snapshot, key=2001), "FileFault"),
            ("no change id at all", query(snapshot, change_id="yesterday"), "InvalidArgument"),
            ("a change id of another generation",
             query(snapshot, change_id="52 de c0 d9 b2 43 9d 10-8b 2b 7c 20 41 9e 10 f0/4"), "FileFault")]:
        tap.equal(client.vm("QueryChangedDiskAreas", "vm-103", body).fault(), fault, name)
    page = client.vm("QueryChangedDiskAreas", "vm-103", query(snapshot))
    tap.equal(page.status, 200, "what is allocated")
    change_id = client.read("VirtualMachineSnapshot", snapshot, "config.hardware.device").text("changeId")
    client.lab_control("/faults", reset_change_id={"vm": "vm-103", "disk": 2000})
    again = client.task(client.vm("CreateSnapshot_Task", "vm-103", CREATE))[1]
    tap.equal(client.vm("QueryChangedDiskAreas", "vm-103", query(again, change_id=change_id)).fault(), "FileFault",
              "a change id from before a reset")
    client.task(client.vm("RemoveAllSnapshots_Task", "vm-103"))


def check_folder(tap, client):
    anonymous = Client(client.lab)
    tap.equal(anonymous.folder("web/web.vmdk").status, 401, "a datastore needs a login")
    listing = client.folder("web/")
    tap.ok(listing.status == 200 and b"web-flat.vmdk" in listing.body and b"data.vmdk" not in listing.body,
           "a directory is HTML, and shows what lies on its datastore", listing.body)
    tap.ok(b"data-flat.vmdk" in client.folder("web/", datastore="ds 2%2ffast").body, "the other datastore's part")
    tap.equal(client.folder("web/data.vmdk").status, 404, "a disk is not on the datastore where it is not")
    descriptor = client.folder("a%2fb 50%25 ü/a%2fb 50%25 ü.vmdk")
    tap.ok(descriptor.status == 200 and b"createType" in descriptor.body, "names with escapes and umlauts")
    flat = "a%2fb 50%25 ü/a%2fb 50%25 ü-flat.vmdk"
    head = client.folder(flat, method="HEAD")
    tap.equal((head.status, head.headers["Content-Length"], head.headers["Accept-Ranges"], head.body),
              (200, str(4 * MIB), "bytes", b""), "HEAD says the size")
    whole = client.folder(flat)
    tap.equal((whole.status, whole.headers["Content-Type"], len(whole.body)),
              (200, "application/octet-stream", 4 * MIB), "the whole file")
    for wanted, first, last in [("bytes=0-511", 0, 511), ("bytes=1048576-2097151", MIB, 2 * MIB - 1),
                                (f"bytes={4 * MIB - 100}-", 4 * MIB - 100, 4 * MIB - 1),
                                ("bytes=-7", 4 * MIB - 7, 4 * MIB - 1),
                                (f"bytes={MIB}-{9 * MIB}", MIB, 4 * MIB - 1)]:
        part = client.folder(flat, Range=wanted)
        tap.equal((part.status, part.headers["Content-Range"], part.body == whole.body[first:last + 1]),
                  (206, f"bytes {first}-{last}/{4 * MIB}", True), wanted)
    beyond = client.folder(flat, Range=f"bytes={4 * MIB}-")
    tap.equal((beyond.status, beyond.headers["Content-Range"]), (416, f"bytes */{4 * MIB}"), "a range beyond the end")
    for name, path, more in [("no such file", "web/none.vmdk", {}), ("no such directory", "none/x", {}),
                             ("no such datastore", flat, {"datastore": "ds9"}),
                             ("no such datacenter", flat, {"datacenter": "DC1"}),
                             ("a way out", "web/../../../lab.key", {}), ("a way up", "../lab.key", {})]:
        tap.equal(client.folder(path, **more).status, 404, name)
    locked = client.folder("web/web-flat.vmdk", Range="bytes=0-511")
    tap.ok(locked.status == 500 and b"busy" in locked.body, "the leaf of a running VM is locked", locked.status)
    tap.equal(client.folder("busy/busy_1-flat.vmdk").status, 500, "an independent disk is locked while the VM is on")
    client.task(client.vm("CreateSnapshot_Task", "vm-100", CREATE))
    tap.equal(client.folder("web/web-flat.vmdk", Range="bytes=0-511").status, 206, "what a snapshot froze is not")
    client.task(client.vm("RemoveAllSnapshots_Task", "vm-100"))
    tap.equal(client.folder(flat, method="PUT").status, 405, "PUT")
    basic = Client(client.lab)
    token = base64.b64encode(f"{client.lab.user}:{client.lab.password}".encode()).decode()
    first = basic.folder(flat, Range="bytes=0-0", Authorization="Basic " + token)
    tap.equal((first.status, "Set-Cookie" in first.headers), (206, True), "Basic credentials begin a session")
    tap.equal(basic.folder(flat, Range="bytes=0-0").status, 206, "whose cookie is enough")


def check_faults(tap, client):
    flat = "a%2fb 50%25 ü/a%2fb 50%25 ü-flat.vmdk"
    status, said = client.lab_control("/faults", unavailable=2, fail_removal=1, half_removal=1, full_answers=1,
                                      wrong_ranges=1, cut={"reply": 3, "bytes": 70000})
    tap.equal((status, said["unavailable"]), (200, 2), "faults are set and shown")
    codes = [client.folder(flat, Range="bytes=0-1").status for _ in range(3)]
    tap.equal(codes, [503, 503, 200], "two requests are 503, then a range is answered whole")
    tap.equal(client.folder(flat, Range="bytes=0-511").headers["Content-Range"][:9], "bytes 512", "a wrong range")
    try:
        client.folder(flat, Range="bytes=0-1048575")
        tap.ok(False, "a reply is cut")
    except http.client.IncompleteRead as cut:
        tap.equal(len(cut.partial), 70000, "a reply is cut where it was asked to be")
    snapshot = client.task(client.vm("CreateSnapshot_Task", "vm-100", CREATE))[1]
    remove = lambda: client.task(client.call("RemoveSnapshot_Task", "VirtualMachineSnapshot", snapshot,
                                             "<removeChildren>false</removeChildren>"))
    tap.equal(remove(), ("error", "FileLocked"), "a removal fails")
    tap.equal(remove()[0], "success", "the next one says that it worked")
    needed = lambda: client.read("VirtualMachine", "vm-100", "runtime.consolidationNeeded").text("val")
    tap.equal(needed(), "true", "and leaves consolidation to do")
    tap.equal(client.task(client.vm("ConsolidateVMDisks_Task", "vm-100"))[0], "success", "which is done")
    tap.equal(needed(), "false", "once")
    client.lab_control("/faults", refuse_quiesce=1)
    quiesced = CREATE.replace("<quiesce>false", "<quiesce>true")
    tap.equal(client.task(client.vm("CreateSnapshot_Task", "vm-100", quiesced)), ("error", "ApplicationQuiesceFault"),
              "a quiesce is refused")
    client.lab_control("/faults", slow_ms=200)
    started = time.monotonic()
    client.call("CurrentTime", "ServiceInstance", "ServiceInstance")
    tap.ok(time.monotonic() - started >= 0.2, "requests are slow")
    client.lab_control("/faults", clear=True, rate="4M")
    started = time.monotonic()
    client.folder(flat, Range="bytes=0-1048575")
    tap.ok(time.monotonic() - started >= 0.2, "data are slow")
    client.lab_control("/faults", clear=True, tools={"vm": "vm-100", "running": False})
    tap.equal(client.vm("ShutdownGuest", "vm-100").fault(), "ToolsUnavailable", "Tools are lost")
    for body in [{"nonsense": 1}, {"slow_ms": -1}, {"reset_change_id": {"vm": "vm-999", "disk": 1}}]:
        tap.ok(client.lab_control("/faults", **body)[0] in (400, 404), f"{body} is refused")


def check_control(tap, client):
    tap.equal(client.lab_control("/vms/vm-999")[0], 404, "no such VM")
    state = client.lab_control("/vms/vm-100")[1]
    tap.equal((state["power"], [d["key"] for d in state["disks"]]), ("on", [2000, 2016]), "a VM behind the scenes")
    tap.ok(state["written"] > 0, "its writer writes")
    tap.equal(client.lab_control("/vms/vm-101", action="resize-disk", disk=2000, size="6M")[1]["disks"][0]["size"],
              6 * MIB, "a disk grows")
    tap.equal(len(client.lab_control("/vms/vm-101", action="add-disk", size="1M")[1]["disks"]), 2, "a disk is added")
    tap.equal(client.lab_control("/vms/vm-101", action="power", state="on")[1]["power"], "on", "power on")
    tap.equal(client.lab_control("/vms/vm-101", action="power", state="on")[0], 409, "but not twice")
    tap.equal(client.lab_control("/vms/vm-101", action="power", state="off")[1]["power"], "off", "power off")
    tap.equal(client.lab_control("/vms/vm-101", action="rename", name="x/y")[1]["name"], "x%2fy", "a new name")
    tap.equal(client.lab_control("/vms/vm-101", action="explode")[0], 400, "no such action")
    client.lab_control("/vms/vm-101", action="set-connection", state="disconnected")
    tap.equal(client.vm("PowerOnVM_Task", "vm-101").fault(), "InvalidState", "a VM whose host is away")


def check_waiting(tap, client):
    """A filter reports what changes while somebody waits for it, and only that."""
    spec = ("<spec><propSet><type>VirtualMachine</type><pathSet>name</pathSet><pathSet>runtime.powerState</pathSet>"
            '</propSet><objectSet><obj type="VirtualMachine">vm-200</obj></objectSet></spec>'
            "<partialUpdates>false</partialUpdates>")
    own = client.call("CreatePropertyCollector", "PropertyCollector", "propertyCollector").text("returnval")
    wait = lambda version, seconds: client.call(
        "WaitForUpdatesEx", "PropertyCollector", own,
        f"<version>{version}</version><options><maxWaitSeconds>{seconds}</maxWaitSeconds></options>")
    tap.equal(client.call("CreateFilter", "PropertyCollector", own, spec).status, 200, "a filter")
    first = wait("", 5)
    tap.equal((first.texts("kind"), sorted(first.texts("val"))), (["enter"], ["poweredOff", "web"]), "all at first")
    tap.equal(wait(first.text("version"), 0).text("version"), None, "then nothing")
    other = Client(client.lab)
    later = threading.Timer(0.3, lambda: other.lab_control("/vms/vm-200", action="power", state="on"))
    later.start()
    second = wait(first.text("version"), 20)
    later.join()
    tap.equal((second.texts("kind"), second.texts("val")), (["modify"], ["poweredOn"]), "then what changed")
    tap.equal(wait(first.text("version"), 0).fault(), "InvalidCollectorVersion", "an old version is not known")
    waiting = []
    thread = threading.Thread(target=lambda: waiting.append(wait(second.text("version"), 20)))
    thread.start()
    time.sleep(0.2)
    client.call("DestroyPropertyCollector", "PropertyCollector", own)
    thread.join()
    tap.equal(waiting[0].fault(), "RequestCanceled", "a collector that is destroyed wakes who waits")


def check_end(tap, client):
    waiting = []
    thread = threading.Thread(target=lambda: waiting.append(client.call(
        "WaitForUpdatesEx", "PropertyCollector", "propertyCollector", "<version></version>")))
    thread.start()
    time.sleep(0.2)
    client.lab_control("/faults", expire_sessions=True)
    tap.equal(client.call("CurrentTime", "ServiceInstance", "ServiceInstance").fault(), "NotAuthenticated",
              "all sessions expire")
    thread.join()
    tap.equal(waiting[0].fault(), "NotAuthenticated", "who waits is told so")
    tap.equal(client.folder("web/").status, 401, "for the datastores too")
    tap.equal(client.login().status, 200, "one logs in again")
    tap.equal(client.call("Logout", "SessionManager", "SessionManager").status, 200, "and out")
    tap.equal(client.call("CurrentTime", "ServiceInstance", "ServiceInstance").fault(), "NotAuthenticated",
              "which is the end")


def main():
    lab = labtest.Lab(sys.argv[1], sys.argv[2])
    tap = labtest.Tap()
    client = Client(lab)
    for check in (check_sessions, check_requests, check_tasks, check_areas, check_folder, check_faults,
                  check_control, check_waiting, check_end):
        check(tap, client)
    tap.end(lab)


main()
