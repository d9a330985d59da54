//go:build linux

package security

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// TestI02_WorkingDirByDescriptorIsRejected tries working directories, which an image's configuration may contain, that lead to a
// descriptor that the runtime has open (CVE-2024-21626), directly and through links.
func TestI02_WorkingDirByDescriptorIsRejected(t *testing.T) {
	var links []imagetest.File
	for fd := 3; fd < 12; fd++ {
		links = append(links, link(fmt.Sprintf("fd%d", fd), fmt.Sprintf("/proc/self/fd/%d", fd)))
	}
	links = append(links, link("cwd1", "/proc/1/cwd"), link("procs", "/proc"),
		// The targets of the links, as directories of the image, so that they exist before /proc is mounted.
		imagetest.File{Name: "proc/self/"}, imagetest.File{Name: "proc/self/fd/"}, imagetest.File{Name: "proc/self/fd/7/"}, imagetest.File{Name: "proc/1/"}, imagetest.File{Name: "proc/1/cwd/"})
	b := newBox(t, links...)
	var dirs []string
	for fd := 3; fd < 12; fd++ {
		dirs = append(dirs, fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/fd%d", fd))
	}
	dirs = append(dirs, "/proc/self/fd/7/../../..", "../../../../proc/self/fd/7", "tmp", "/proc/self/cwd", "/proc/1/cwd", "/proc/1/root", "/cwd1", "/procs/self/fd/7",
		"//proc/self/fd/8", "/proc/./self/fd/8", "/tmp/../proc/self/fd/8", "/dev/fd/8", "/proc", "/sys", "/sys/fs/cgroup", "/dev", "/dev/shm/../fd/8")
	for _, dir := range dirs {
		for _, writable := range []bool{false, true} {
			spec := b.shell("pwd; ls -la . ..; cat ../../../../.." + b.canary.path)
			spec.WorkingDir = dir
			spec.Security.Writable = writable
			r, err := b.try(spec, nil)
			var invalid *engine.InvalidError
			switch {
			case err == nil:
				t.Errorf("%s (writable root %v): it ran: %+v", dir, writable, r)
			case !errors.As(err, &invalid):
				t.Errorf("%s (writable root %v): not refused as invalid: %v", dir, writable, err)
			}
		}
	}
}

// TestI02_WorkingDirInTheDefinition checks that such a working directory is refused when the definition is read.
func TestI02_WorkingDirInTheDefinition(t *testing.T) {
	for _, dir := range []string{"/proc/self/fd/7", "/proc/1/cwd", "/proc", "/dev/fd/7", "/sys", "../x", "/a/../proc/self/fd/7"} {
		_, err := tool.Parse("t.yaml", []byte("name: t\nimage: x\ncommand: [sh]\nworking_dir: "+dir+"\n"))
		if err == nil || !strings.Contains(err.Error(), "working_dir") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestI02_HomeByDescriptorIsNotUsed tries the same with the variable HOME and with the home in the image's passwd, since
// Mayfly makes the home writable. The home must be /root instead.
func TestI02_HomeByDescriptorIsNotUsed(t *testing.T) {
	b := newBox(t, imagetest.File{Name: "etc/passwd", Body: "root:x:0:0::/root:/bin/sh\nevil:x:1:1::/proc/self/fd/7:/bin/sh\nsvc:x:2:2::/dev/null:/bin/false\n"},
		link("home7", "/proc/self/fd/7"), link("loop", "/loop"))
	look := func(name string, change func(*engine.Spec)) {
		t.Helper()
		spec := b.shell(`cd; pwd; touch new && ls -a; cat ../../../../..` + b.canary.path)
		change(spec)
		r, err := b.try(spec, nil)
		if err != nil || r.stdout != "/root\n.\n..\nnew\n" || !strings.Contains(r.stderr, "No such file") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	for _, home := range []string{"/proc/self/fd/7", "/home7", "/dev/fd/7", "/proc", "/dev", "/sys/fs", "/dev/null", "/dev/null/x", "/etc/passwd", "/etc/passwd/x", "/loop", "x", "", "/"} {
		look("HOME="+home, func(spec *engine.Spec) { spec.Environment = []engine.Variable{{Name: "HOME", Value: home}} })
	}
	for _, user := range []string{"evil", "svc"} {
		look("user "+user, func(spec *engine.Spec) { spec.User = user })
	}
	// The image's /root is checked too.
	b = newBox(t, link("root", "/proc/self/fd/7"))
	spec := b.shell("cd; pwd; ls -la")
	var invalid *engine.InvalidError
	if r, err := b.try(spec, nil); !errors.As(err, &invalid) {
		t.Errorf("a link as /root: %+v, %v", r, err)
	}
}
