package imagetest

import (
	"archive/tar"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// BusyboxLayer returns a layer with the machine's static busybox, all its applets, the users root, nobody and user (1000), and /tmp. It
// needs Debian's busybox-static.
func BusyboxLayer(t testing.TB) []byte {
	t.Helper()
	const path = "/bin/busybox"
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: apt-get install busybox-static", err)
	}
	applets, err := exec.CommandContext(t.Context(), path, "--list").Output()
	if err != nil {
		t.Fatalf("list the applets of %s: %v", path, err)
	}
	files := []File{
		{Name: "./"},
		{Name: "bin/"},
		{Name: "etc/"},
		{Name: "home/"},
		{Name: "home/user/", UID: 1000, GID: 1000},
		{Name: "root/", Mode: 0o700},
		{Name: "tmp/", Mode: 0o1777},
		{Name: "var/"},
		{Name: "proc/"},
		{Name: "sys/"},
		{Name: "dev/"},
		{Name: "etc/passwd", Body: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nuser:x:1000:1000:user:/home/user:/bin/sh\n"},
		{Name: "etc/group", Body: "root:x:0:\nnogroup:x:65534:\nuser:x:1000:\n"},
		{Name: "bin/busybox", Body: string(body), Mode: 0o755},
	}
	for name := range strings.FieldsSeq(string(applets)) {
		if name != "busybox" {
			files = append(files, File{Name: "bin/" + name, Type: tar.TypeLink, Link: "bin/busybox"})
		}
	}
	return Tar(t, files...)
}

// PushBusybox pushes an image of BusyboxLayer to ref, host:port/repository:tag, and returns its digest.
func PushBusybox(t testing.TB, ref string) string {
	t.Helper()
	return Push(t, ref, Config{Cmd: []string{"/bin/sh"}, Env: []string{"PATH=/bin"}}, Gzip(t, BusyboxLayer(t)))
}
