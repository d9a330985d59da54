//go:build linux

package security

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// fileCapabilities is the value of security.capability with all capabilities permitted and effective (capabilities(7), "File
// capabilities": struct vfs_cap_data, version 2).
const fileCapabilities = "\x01\x00\x00\x02" + "\xff\xff\xff\xff" + "\xff\xff\xff\xff" + "\xff\xff\xff\xff" + "\xff\xff\xff\xff"

// TestI10_NothingGainsPrivileges runs copies of the attacker that are setuid and setgid or have file capabilities, from the
// image and made by the tool.
func TestI10_NothingGainsPrivileges(t *testing.T) {
	body := attackerProgram(t).Body
	b := newBox(t,
		imagetest.File{Name: "bin/suid", Body: body, Mode: 0o6755},
		imagetest.File{Name: "bin/fcap", Body: body, Mode: 0o755, Xattrs: map[string]string{"security.capability": fileCapabilities}})
	none := "0000000000000000"
	for _, c := range []struct{ name, user, script, uid string }{
		{"root", "", "attacker status", "0 0 0 0"},
		{"user", "1000:1000", "attacker status", "1000 1000 1000 1000"},
		{"setuid by user", "1000:1000", "suid status", "1000 1000 1000 1000"},
		{"file capabilities by user", "1000:1000", "fcap status", "1000 1000 1000 1000"},
		{"setuid by root", "", "suid status", "0 0 0 0"},
		{"file capabilities by root", "", "fcap status", "0 0 0 0"},
		{"made by the tool", "1000:1000", "cd /tmp; cp /bin/attacker own; chmod 6755 own; ./own status", "1000 1000 1000 1000"},
	} {
		spec := b.shell(c.script)
		spec.User = c.user
		got := b.run(spec, nil).lines()
		for key, want := range map[string]string{
			"Uid": c.uid, "Gid": c.uid, "NoNewPrivs": "1", "Seccomp": "2",
			"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
		} {
			if got[key] != want && !b.hiddenByOwnKernel(key, got[key]) {
				t.Errorf("%s: %s is %q, want %s", c.name, key, got[key], want)
			}
		}
	}
}

// TestI10_AskedCapabilitiesAreAllThereIs checks that a tool with one allowed capability has only that one.
func TestI10_AskedCapabilitiesAreAllThereIs(t *testing.T) {
	b := newBox(t)
	spec := b.spec("attacker", "status")
	spec.Security.Capabilities = []string{"CAP_NET_BIND_SERVICE"}
	got := b.run(spec, nil).lines()
	for _, key := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if strings.TrimLeft(got[key], "0") != "400" && !b.hiddenByOwnKernel(key, got[key]) {
			t.Errorf("%s is %s", key, got[key])
		}
	}
	if got["NoNewPrivs"] != "1" && !b.hiddenByOwnKernel("NoNewPrivs", got["NoNewPrivs"]) || got["Seccomp"] != "2" {
		t.Errorf("%v", got)
	}
}

// hiddenByOwnKernel reports whether a part of a process's status is missing because gVisor doesn't show it.
func (b *box) hiddenByOwnKernel(key, value string) bool {
	return b.engine.OwnKernel && value == "" && (key == "NoNewPrivs" || key == "CapAmb")
}
