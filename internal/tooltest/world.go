package tooltest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/commandmock"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/suite"
)

// mockWorld is what stands in for the world in one test; it is a run.Mocks.
type mockWorld struct {
	http     *httpmock.Responder
	commands *commandmock.Responder
	forward  *httpmock.Forward
	spec     engine.Mocks
}

// openWorld starts the mocks of a test. forward, unless nil, gets what no mock answers.
func openWorld(w *suite.World, dir string, forward *httpmock.Forward) (*mockWorld, error) {
	m := &mockWorld{commands: commandmock.New(w.Commands), forward: forward}
	var err error
	if m.http, err = httpmock.New(httpmock.Options{Mocks: w.HTTP, Dir: dir, Forward: forward}); err != nil {
		return nil, err
	}
	m.spec = engine.Mocks{
		Allow:     network.Policy{Mode: network.ModeNone},
		Loopback:  httpmock.Loopback(w.HTTP),
		Authority: m.http.Authority(),
		Commands:  m.commands.Commands(),
	}
	if len(w.AllowNetwork) > 0 {
		m.spec.Allow = network.Policy{Mode: network.ModeList, Egress: w.AllowNetwork}
	}
	return m, nil
}

// Connection is run.Mocks'.
func (m *mockWorld) Connection(c net.Conn) { m.http.Serve(c) }

// Command is run.Mocks'.
func (m *mockWorld) Command(c net.Conn) { m.commands.Serve(c) }

// close ends the mocks; what they have recorded stays.
func (m *mockWorld) close() error {
	m.commands.Close()
	return m.http.Close()
}

// secrets are a test's own values in front of this machine's, which it remembers, so that nothing prints them.
type secrets struct {
	given map[string]string
	next  secret.Source

	mu   sync.Mutex
	real [][]byte
}

// Get is secret.Source's.
func (s *secrets) Get(ctx context.Context, name string) ([]byte, error) {
	if value, ok := s.given[name]; ok {
		return []byte(value), nil
	}
	absent := &secret.NotFoundError{
		Name: name, Searched: []string{"the test's secrets"}, Remedy: fmt.Sprintf("give the test a value: secrets: {%s: VALUE}", name),
	}
	if s.next == nil {
		return nil, absent
	}
	value, err := s.next.Get(ctx, name)
	var elsewhere *secret.NotFoundError
	if errors.As(err, &elsewhere) {
		absent.Searched = append(absent.Searched, elsewhere.Searched...)
		return nil, absent
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.real = append(s.real, append([]byte(nil), value...))
	return value, nil
}

// redactor masks this machine's secrets, and the test's own too where all is true. Those stand in the test's file, and
// whoever compares a request has to see them.
func (s *secrets) redactor(all bool) *secret.Redactor {
	s.mu.Lock()
	defer s.mu.Unlock()
	values := append([][]byte(nil), s.real...)
	if all {
		for _, v := range s.given {
			values = append(values, []byte(v))
		}
	}
	return secret.NewRedactor(values...)
}

// maxOutput is how much of each of the tool's streams is kept.
const maxOutput = 8 << 20

// output keeps the beginning of a stream.
type output struct {
	data []byte
	more bool
}

func (o *output) Write(p []byte) (int, error) {
	n := min(len(p), maxOutput-len(o.data))
	o.data = append(o.data, p[:n]...)
	o.more = o.more || n < len(p)
	return len(p), nil
}

// text is the stream as text, or else as bytes.
func (o *output) text() (text string, data []byte) {
	if utf8.Valid(o.data) {
		return string(o.data), nil
	}
	return "", o.data
}
