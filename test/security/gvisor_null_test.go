//go:build linux

package security

import "testing"

// TestI07_GVisorLeavesTheHostsDevices checks that gVisor doesn't change the owner of the host's /dev/null, which is the
// standard input of a tool without input. Runtimes may change the owner of the streams that they get.
func TestI07_GVisorLeavesTheHostsDevices(t *testing.T) {
	b := newBox(t)
	spec := b.gvisor("echo ran; cat")
	spec.User = "1000:1000"
	before := describe(t, "/dev/null")
	if r := b.run(spec, nil); r.stdout != "ran\n" {
		t.Errorf("%+v", r)
	}
	if after := describe(t, "/dev/null"); after != before {
		t.Errorf("the host's /dev/null was %s and is %s", before, after)
	}
}
