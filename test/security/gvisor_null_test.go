//go:build linux

package security

import "testing"

// TestI07_GVisorLeavesTheHostsDevices: a tool without input has the host's
// /dev/null for one, and runtimes may change the owner of what they are given.
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
