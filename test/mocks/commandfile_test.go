//go:build linux

package mocks

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestCommandIsNoFileOfTheHost checks that the program in place of a mocked command is a file of this run only, so that locks,
// marks and flushes of it affect no other process.
func TestCommandIsNoFileOfTheHost(t *testing.T) {
	l := newLab(t)
	s := newServer(t, nil, echo)
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(testbed.Bin(t), "mayfly-shim"), &st); err != nil {
		t.Fatal(err)
	}
	r := l.run(l.withCommands(s, "stat -L -c %d:%i /run/mayfly/commands/kubectl", "kubectl"), nil)
	if file := strings.TrimSpace(r.stdout); file == "" || file == fmt.Sprintf("%d:%d", st.Dev, st.Ino) {
		t.Errorf("the command is the file %q, and the host's shim is %d:%d", file, st.Dev, st.Ino)
	}
	if _, err := os.Stat("/run/mayfly/commands"); err == nil {
		t.Error("the host has the commands' folder")
	}
}
