package daemon

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// TestDevPort asks for a port that is in use: another one is taken only if nobody asked for this one.
func TestDevPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	in := taken.Addr().(*net.TCPAddr).Port
	if _, _, err := (&devFlags{port: in}).listen(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("listen at port %d: ", in)) {
		t.Errorf("%v", err)
	}
	l, port, err := (&devFlags{port: in, any: true}).listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if port == fmt.Sprint(in) || !slices.Contains(devHosts(port), l.Addr().String()) {
		t.Errorf("port %s at %s", port, l.Addr())
	}
}

// TestDevHosts has the hosts of the port of HTTP also be as browsers send them.
func TestDevHosts(t *testing.T) {
	for port, want := range map[string]string{"6295": "[127.0.0.1:6295 localhost:6295]", "80": "[127.0.0.1:80 localhost:80 127.0.0.1 localhost]"} {
		if got := fmt.Sprint(devHosts(port)); got != want {
			t.Errorf("%s: %s, want %s", port, got, want)
		}
	}
}
