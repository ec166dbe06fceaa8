// A vCenter (or, with the word "host", an ESXi host) to test against that is not ours: govmomi's simulator, on a port
// of its own choice, over TLS.  It prints address, thumbprint and certificate, and ends with SIGTERM.
package main

import (
	"crypto/sha1"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	model := simulator.VPX()
	if len(os.Args) > 1 && os.Args[1] == "host" {
		model = simulator.ESX()
	}
	model.Machine = 3
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	defer model.Remove()

	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("mover", "s3cret&<>")}
	model.Service.TLS = new(tls.Config)
	server := model.Service.NewServer()
	defer server.Close()

	leaf := server.Certificate().Raw
	fmt.Printf("%s %x\n", server.URL.Host, sha1.Sum(leaf))
	pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: leaf})

	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
}
