"""VMware's own Python client against the lab: what it can use, others can."""
import hashlib
import ssl
import sys

import labtest

try:
    from pyVim import connect
    from pyVim.task import WaitForTask
    from pyVmomi import vim, vmodl
except ImportError:
    labtest.skip("python3-pyvmomi is not installed")

MIB = 1 << 20


def list_vms(content):
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    collector = content.propertyCollector
    walk = vmodl.query.PropertyCollector.TraversalSpec(name="v", path="view", skip=False, type=vim.view.ContainerView)
    spec = vmodl.query.PropertyCollector.FilterSpec(
        objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=view, skip=True, selectSet=[walk])],
        propSet=[vmodl.query.PropertyCollector.PropertySpec(
            type=vim.VirtualMachine, pathSet=["name", "config", "runtime", "guest", "summary", "capability",
                                              "layoutEx", "datastore", "network", "recentTask", "parent"])])
    found, pages = {}, 0
    page = collector.RetrievePropertiesEx([spec], vmodl.query.PropertyCollector.RetrieveOptions())
    while page is not None:
        pages += 1
        for content_of in page.objects:
            found[content_of.obj._moId] = {p.name: p.val for p in content_of.propSet}
        page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
    view.DestroyView()
    return found, pages


def disks(config):
    return {d.key: d for d in config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)}


def snapshot(vm, name, quiesce=False):
    task = vm.CreateSnapshot_Task(name=name, description="by a test", memory=False, quiesce=quiesce)
    WaitForTask(task)
    return task.info.result


def areas(vm, of, key, change_id):
    size, start, found = disks(of.config)[key].capacityInKB * 1024, 0, []
    while start < size:
        page = vm.QueryChangedDiskAreas(snapshot=of, deviceKey=key, startOffset=start, changeId=change_id)
        found += [(a.start, a.length) for a in page.changedArea]
        start = page.startOffset + page.length
    return found


def check_inventory(tap, content, found, pages):
    tap.equal(len(found), 6, "a container view lists every VM of both datacenters")
    tap.ok(pages > 1, "the lists come in pages")
    web = found["vm-100"]
    tap.equal(web["name"], "web", "a VM has its name")
    tap.equal(sorted(disks(web["config"])), [2000, 2016], "disks of two controllers that share unit numbers")
    tap.equal(disks(web["config"])[2016].backing.fileName, "[ds 2%2ffast] web/data.vmdk",
              "a disk lies on its own datastore, whose name is escaped")
    tap.equal(found["vm-101"]["name"], "a%2fb 50%25 ü", "names are escaped as vCenter escapes them")
    tap.equal(web["config"].hardware.memoryMB, 2048, "hardware is described")
    tap.equal(web["runtime"].powerState, "poweredOn", "power state is an enumeration of the client's")
    kinds = sorted({type(d).__name__ for d in found["vm-200"]["config"].hardware.device})
    tap.ok("vim.vm.device.VirtualNVMEController" in kinds and "vim.vm.device.VirtualTPM" in kinds,
           "devices are polymorphic", kinds)
    datacenter = content.searchIndex.FindByInventoryPath("Europe/Köln/DC1")
    tap.equal(datacenter.name, "DC1", "FindByInventoryPath walks folders")
    tap.equal(sorted(d.name for d in datacenter.datastore), ["ds 2%2ffast", "ds1"], "a datacenter's datastores")
    by_path = content.searchIndex.FindByInventoryPath("Europe/Köln/DC1/vm/shop/old/a%2fb 50%25 ü")
    tap.equal(by_path._moId, "vm-101", "FindByInventoryPath takes escaped names")
    by_uuid = content.searchIndex.FindByUuid(None, web["config"].instanceUuid, True, True)
    tap.equal(by_uuid._moId, "vm-100", "FindByUuid finds by instance uuid")
    tap.equal(content.searchIndex.FindByUuid(None, "no-such", True, True), None, "FindByUuid may find nothing")
    names, folders = [], [content.rootFolder]
    while folders:
        for child in folders.pop().childEntity:
            names.append(child.name)
            if isinstance(child, vim.Folder):
                folders.append(child)
            elif isinstance(child, vim.Datacenter):
                folders.append(child.vmFolder)
    tap.ok({"web", "golden", "shop", "DC2"} <= set(names), "folders can be walked by hand", names)


def check_rounds(tap, vm):
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(changeTrackingEnabled=True)))
    tap.ok(vm.config.changeTrackingEnabled, "change tracking reads back as enabled")
    first = snapshot(vm, "first")
    tap.equal(disks(first.config)[2000].backing.changeId, None, "and is not active before a stun")
    tap.equal(vm.snapshot.rootSnapshotList[0].name, "first", "the snapshot is in the tree")
    tap.ok(disks(vm.config)[2000].backing.parent is not None, "the VM runs on a delta")
    WaitForTask(first.RemoveSnapshot_Task(removeChildren=False))
    tap.equal(vm.snapshot, None, "and out of it")
    second = snapshot(vm, "second", quiesce=True)
    change_id = disks(second.config)[2000].backing.changeId
    tap.ok(change_id is not None and "/" in change_id, "after a cycle disks have a change id", change_id)
    allocated = areas(vm, second, 2000, "*")
    tap.ok(0 < sum(length for _, length in allocated) <= 32 * MIB, "allocated areas", allocated)
    tap.ok(len(allocated) == len(set(allocated)), "no area comes twice over pages")
    WaitForTask(second.RemoveSnapshot_Task(removeChildren=False))
    third = snapshot(vm, "third")
    changed = areas(vm, third, 2000, change_id)
    tap.ok(all(start + length <= 32 * MIB and length > 0 for start, length in changed), "changed areas", changed)
    later = disks(third.config)[2000].backing.changeId
    tap.ok(later.split("/")[0] == change_id.split("/")[0] and later != change_id, "the next id follows", later)
    WaitForTask(vm.RemoveAllSnapshots_Task())
    WaitForTask(vm.ConsolidateVMDisks_Task())
    tap.equal(vm.runtime.consolidationNeeded, False, "nothing is left to consolidate")


def check_power(tap, vm):
    vm.ShutdownGuest()
    filters = 0
    while vm.runtime.powerState != "poweredOff" and filters < 500:
        filters += 1
    tap.equal(vm.runtime.powerState, "poweredOff", "a guest shuts down")
    try:
        WaitForTask(vm.PowerOffVM_Task())
        tap.ok(False, "off is not switched off")
    except vim.fault.InvalidPowerState as fault:
        tap.equal(fault.existingState, "poweredOff", "off is not switched off")
    WaitForTask(vm.PowerOnVM_Task())
    tap.equal(vm.runtime.powerState, "poweredOn", "power on")
    WaitForTask(vm.PowerOffVM_Task())
    tap.equal(vm.runtime.powerState, "poweredOff", "power off")
    WaitForTask(vm.Rename_Task("web: renamed"))
    tap.equal(vm.name, "web: renamed", "rename")


def check_faults(tap, service, found):
    content = service.content
    busy, golden = (vim.VirtualMachine(moref, service._stub) for moref in ("vm-103", "vm-104"))
    for name, call, fault in [
            ("a quiesce that the guest refuses", lambda: snapshot(busy, "q", True), vim.fault.ApplicationQuiesceFault),
            ("a template is not switched on", golden.PowerOnVM_Task, vmodl.fault.NotSupported),
            ("no shutdown without Tools", vim.VirtualMachine("vm-102", service._stub).ShutdownGuest,
             vim.fault.ToolsUnavailable),
            ("no such VM", vim.VirtualMachine("vm-999", service._stub).PowerOnVM_Task,
             vmodl.fault.ManagedObjectNotFound),
            ("no such password", lambda: content.sessionManager.Login("root", "wrong"), None)]:
        try:
            call()
            tap.ok(False, name, "nothing was raised")
        except vmodl.MethodFault as raised:
            tap.ok(fault is None or isinstance(raised, fault), name, repr(raised))
    session = content.sessionManager.currentSession
    tap.equal(session.userName, "administrator@vsphere.local", "currentSession")
    granted = content.authorizationManager.HasPrivilegeOnEntity(
        content.rootFolder, session.key, ["VirtualMachine.State.CreateSnapshot", "Datastore.Browse"])
    tap.equal(list(granted), [True, True], "HasPrivilegeOnEntity")


def main():
    lab = labtest.Lab(sys.argv[1], sys.argv[2])
    tap = labtest.Tap()
    certificate = ssl.get_server_certificate((lab.host, lab.port))
    digest = hashlib.sha1(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest().upper()
    tap.equal(":".join(digest[i:i + 2] for i in range(0, 40, 2)), lab.thumbprint, "the thumbprint is the server's")
    service = connect.SmartConnect(host=lab.host, port=lab.port, user=lab.user, pwd=lab.password,
                                   thumbprint=lab.thumbprint, sslContext=ssl._create_unverified_context())
    content = service.RetrieveContent()
    tap.equal(content.about.apiType, "VirtualCenter", "it is a vCenter")
    found, pages = list_vms(content)
    check_inventory(tap, content, found, pages)
    web = vim.VirtualMachine("vm-100", service._stub)
    check_rounds(tap, web)
    check_faults(tap, service, found)
    check_power(tap, web)
    connect.Disconnect(service)
    try:
        tap.ok(web.name is None, "nothing is answered after the logout")
    except vmodl.fault.SecurityError as fault:
        tap.ok(True, "nothing is answered after the logout")
    tap.end(lab)


main()
