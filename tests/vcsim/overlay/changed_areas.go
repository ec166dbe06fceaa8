// What govmomi's simulator lacks, laid over it at build time (go build -overlay): QueryChangedDiskAreas.  The first 64 KiB of every
// 256 KiB have changed, and an answer speaks of 384 KiB.
package simulator

import (
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	changedEvery  = 256 << 10
	changedLength = 64 << 10
	answerLength  = 384 << 10
)

func changedAreas(start, capacity int64) types.DiskChangeInfo {
	info := types.DiskChangeInfo{StartOffset: start, Length: answerLength}
	if info.Length > capacity-start {
		info.Length = capacity - start
	}
	for at := (start + changedEvery - 1) / changedEvery * changedEvery; at < start+info.Length; at += changedEvery {
		info.ChangedArea = append(info.ChangedArea, types.DiskChangeExtent{Start: at, Length: changedLength})
	}
	return info
}

func (vm *VirtualMachine) QueryChangedDiskAreas(ctx *Context, req *types.QueryChangedDiskAreas) soap.HasFault {
	body := new(methods.QueryChangedDiskAreasBody)
	disk, ok := object.VirtualDeviceList(vm.Config.Hardware.Device).FindByKey(req.DeviceKey).(*types.VirtualDisk)

	switch {
	case !ok:
		body.Fault_ = Fault("", &types.InvalidArgument{InvalidProperty: "deviceKey"})
	case req.StartOffset >= disk.CapacityInKB*1024:
		body.Fault_ = Fault("", &types.InvalidArgument{InvalidProperty: "startOffset"})
	case req.ChangeId != "*":
		body.Fault_ = Fault("Error caused by file /vmfs/volumes/a/a.vmdk", &types.FileFault{File: "/vmfs/volumes/a/a.vmdk"})
	case req.Snapshot == nil || Map.Get(*req.Snapshot) == nil:
		body.Fault_ = Fault("", &types.ManagedObjectNotFound{})
	default:
		body.Res = &types.QueryChangedDiskAreasResponse{Returnval: changedAreas(req.StartOffset, disk.CapacityInKB*1024)}
	}
	return body
}
