package usernet

import (
	"net"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// TestForgedAnswers: messages that aren't answers to the question are ignored
// until the right answer arrives.
func TestForgedAnswers(t *testing.T) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("txt.example."), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET}
	other := q
	other.Name = dnsmessage.MustNewName("other.example.")
	for name, forge := range map[string]func(m *dnsmessage.Message){
		"another id":       func(m *dnsmessage.Message) { m.ID++ },
		"a question":       func(m *dnsmessage.Message) { m.Response = false },
		"another question": func(m *dnsmessage.Message) { m.Questions[0] = other },
		"two questions":    func(m *dnsmessage.Message) { m.Questions = append(m.Questions, other) },
		"no question":      func(m *dnsmessage.Message) { m.Questions = nil },
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() {
				buf := make([]byte, 512)
				n, from, err := conn.ReadFrom(buf)
				if err != nil {
					return // the test has failed
				}
				for _, text := range []string{"forged", "right"} {
					var m dnsmessage.Message
					if err := m.Unpack(buf[:n]); err != nil {
						t.Error(err)
						return
					}
					m.Response = true
					m.Answers = []dnsmessage.Resource{{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
						Body:   &dnsmessage.TXTResource{TXT: []string{text}},
					}}
					if text == "forged" {
						forge(&m)
					}
					raw, err := m.Pack()
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = conn.WriteTo(raw, from)
				}
			}()
			m, err := exchange(t.Context(), conn.LocalAddr().(*net.UDPAddr).AddrPort(), q)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(*m); got != "Success right" {
				t.Errorf("got answer %q, want the right one", got)
			}
		})
	}
}
