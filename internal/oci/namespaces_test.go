//go:build linux

package oci_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mayfly-run/mayfly/internal/oci/wire"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestNamespacesThatCantBeMade: if the kernel refuses more namespaces, the shim says what failed and what to do, and ends.
func TestNamespacesThatCantBeMade(t *testing.T) {
	request, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer request.Close()
	hello, err := json.Marshal(wire.NewHello())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := end.WriteString(string(hello) + `{"start":{"spec":{"id":"none"},"dir":"` + t.TempDir() + `","end_within":60000000000}}`); err != nil {
		t.Fatal(err)
	}
	end.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	// The limit belongs to a user namespace, so the test sets it in its own.
	shim := filepath.Join(testbed.Bin(t), "mayfly-shim")
	script := []string{"-c", `echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"`, "sh", shim}
	cmd := exec.CommandContext(t.Context(), "sh", append(script, wire.Arguments(0, 1, wire.Anywhere)...)...)
	cmd.ExtraFiles = []*os.File{request, null, null, null, null, null}
	ids := []syscall.SysProcIDMap{{Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: ids, GidMappings: ids}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the shim succeeded")
	}
	want := "make the sandbox's namespaces: make its first process: no space left on device; see what this host can do: mayfly doctor"
	if !strings.Contains(string(out), want) {
		t.Errorf("got %q, want it to contain %q", out, want)
	}
}
