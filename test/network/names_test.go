//go:build linux

package network

import (
	"net/netip"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// dns is the name server of the internet. asked counts the questions by name.
type dns struct {
	mu    sync.Mutex
	asked map[string]int
}

func (d *dns) count(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[name]
}

// nameServer starts a name server that answers with the addresses of a name. If the list has "then" in it, the first answers
// have the addresses before it, and later ones those after it. A name whose list begins with "alias" is an alias of the
// second element.
func (i *internet) nameServer(names map[string][]string) *dns {
	d := &dns{asked: map[string]int{}}
	conn := i.listenPacket(nameServer + ":53")
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			d.answer(&m, names)
			if packed, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(packed, from)
			}
		}
	}()
	return d
}

func (d *dns) answer(m *dnsmessage.Message, names map[string][]string) {
	q := m.Questions[0]
	name := q.Name.String()[:len(q.Name.String())-1]
	d.mu.Lock()
	d.asked[name]++
	d.mu.Unlock()
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	addresses, known := names[name]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
		return
	}
	header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
	if addresses[0] == "alias" {
		header.Type = dnsmessage.TypeCNAME
		alias := dnsmessage.MustNewName(addresses[1] + ".")
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.CNAMEResource{CNAME: alias}})
		header.Name, addresses = alias, names[addresses[1]]
	}
	for at, a := range addresses {
		if a != "then" {
			continue
		}
		if d.count(name) > 2 { // the first lookup asks for A and AAAA
			addresses = addresses[at+1:]
		} else {
			addresses = addresses[:at]
		}
		break
	}
	for _, text := range addresses {
		a := netip.MustParseAddr(text)
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			header.Type = q.Type
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			header.Type = q.Type
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
}

// withNameServer starts a run while the host's resolv.conf names the internet's name server, waits for its end, and stores
// the result in r.
func (i *internet) withNameServer(start func() *live, r *result) {
	i.t.Helper()
	var run *live
	err := inPlaceOf("/etc/resolv.conf", "nameserver "+nameServer+"\n", i.t.TempDir(), func() { run = start() })
	if err != nil || run == nil {
		i.t.Fatal("the run didn't start: ", err)
	}
	*r = run.wait()
}
