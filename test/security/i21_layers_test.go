//go:build linux

package security

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// TestI21_SharedLayersStayAsTheyAre tries to write to, rename, remove and change the owner of everything in the image, with a
// read-only and a writable root.
func TestI21_SharedLayersStayAsTheyAre(t *testing.T) {
	b := newBox(t, imagetest.File{Name: "data/"}, imagetest.File{Name: "data/file", Body: "as it was", Mode: 0o666}, link("data/link", "file"),
		imagetest.File{Name: "root/own", Body: "as it was", Mode: 0o666})
	hash := func() (all []string) {
		for _, l := range b.image.Unpacked.Layers {
			all = append(all, imagetest.HashTree(t, l))
		}
		return all
	}
	before := hash()
	for _, writable := range []bool{false, true} {
		spec := b.shell(`
			for f in /data/file /root/own /etc/passwd /bin/busybox; do
				echo changed >> $f; chmod 777 $f; chown 1000 $f; touch -d 2001-01-01 $f; truncate -s 1 $f; mv $f $f.moved; rm -f $f $f.moved
				(exec 3<>$f && echo through >&3); cat /proc/self/fd/3
			done 2>/dev/null
			ln /data/file /tmp/hard; mkdir /data/new; mknod /data/fifo p; rm -rf /bin /etc /data /root; cd /; rm -rf ./*; echo ended`)
		spec.Security.Writable = writable
		if r := b.run(spec, nil); r.stdout == "" {
			t.Errorf("%+v", r)
		}
		for i, now := range hash() {
			if now != before[i] {
				t.Errorf("writable %v: layer %d has changed", writable, i)
			}
		}
	}
	if r := b.run(b.shell("cat /data/file /root/own"), nil); r.stdout != "as it wasas it was" {
		t.Errorf("the next run sees %q", r.stdout)
	}
}
