package daemon

import (
	"fmt"
	"net"
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
	if port == fmt.Sprint(in) || l.Addr().String() != "127.0.0.1:"+port {
		t.Errorf("port %s at %s", port, l.Addr())
	}
}
