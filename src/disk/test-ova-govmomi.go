// Prints what govmomi makes of an envelope: go run test-ova-govmomi.go FILE.ovf
package main

import (
	"fmt"
	"os"

	"github.com/vmware/govmomi/ovf"
)

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	envelope, err := ovf.Unmarshal(file)
	if err != nil {
		panic(err)
	}
	for _, f := range envelope.References {
		fmt.Printf("file %s %s %d\n", f.ID, f.Href, f.Size)
	}
	for _, d := range envelope.Disk.Disks {
		fmt.Printf("disk %s %s %s %s\n", d.DiskID, *d.FileRef, d.Capacity, *d.CapacityAllocationUnits)
	}
	for _, n := range envelope.Network.Networks {
		fmt.Printf("network %s\n", n.Name)
	}
	system := envelope.VirtualSystem
	hardware := system.VirtualHardware[0]
	fmt.Printf("system %s %s %s\n", system.ID, *system.Name, *hardware.System.VirtualSystemType)
	for _, i := range hardware.Item {
		fmt.Printf("item %s type %d", i.InstanceID, *i.ResourceType)
		if i.ResourceSubType != nil {
			fmt.Printf(" %s", *i.ResourceSubType)
		}
		if i.Parent != nil {
			fmt.Printf(" on %s at %s", *i.Parent, *i.AddressOnParent)
		}
		if i.VirtualQuantity != nil {
			fmt.Printf(" %d", *i.VirtualQuantity)
		}
		fmt.Println()
	}
}
