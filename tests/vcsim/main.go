// A vCenter to test against that is not ours: govmomi's simulator, on a port of its own choice, over TLS.
// It prints its URL and certificate, and ends when its standard input does: it cannot outlive the test.
package main

import (
	"crypto/sha1"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	model := simulator.VPX()
	model.Machine = 3
	model.Folder = 1
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
	os.Stdout.Close()
	io.Copy(io.Discard, os.Stdin)
}
