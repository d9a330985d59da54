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

// responders answer the requests and calls of one test. They implement run.Mocks.
type responders struct {
	http     *httpmock.Responder
	commands *commandmock.Responder
	forward  *httpmock.Forward
	spec     engine.Mocks
}

// startResponders starts the responders of a test's mocks, whose files are in dir. forward, unless nil, gets the requests
// that no mock answers.
func startResponders(w *suite.Fixture, dir string, forward *httpmock.Forward) (*responders, error) {
	m := &responders{commands: commandmock.New(w.Commands), forward: forward}
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

// Connection implements run.Mocks.
func (m *responders) Connection(c net.Conn) { m.http.Serve(c) }

// Command implements run.Mocks.
func (m *responders) Command(c net.Conn) { m.commands.Serve(c) }

// close ends the responders. Their records stay.
func (m *responders) close() error {
	m.commands.Close()
	return m.http.Close()
}

// secrets is a source of a test's own values, and otherwise of this machine's. It keeps the machine's values in real, so that
// they can be masked.
type secrets struct {
	given map[string]string
	next  secret.Source

	mu   sync.Mutex
	real [][]byte
}

// Get implements secret.Source.
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

// redactor returns a redactor of this machine's secrets, and if all is true also of the test's own. The test's own are in
// its file, and its author must see them to compare a request.
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

// maxOutput is how many bytes of each of the tool's streams are kept.
const maxOutput = 8 << 20

// output keeps the first maxOutput bytes of a stream. more says that there were others.
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

// text returns the stream as text, or as bytes if it isn't UTF-8.
func (o *output) text() (text string, data []byte) {
	if utf8.Valid(o.data) {
		return string(o.data), nil
	}
	return "", o.data
}
