package httpmock

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// errSilent says that a connection was closed before the tool sent anything, as a check of a port does.
var errSilent = errors.New("nothing was sent")

// admit detects the protocol of a connection and returns a connection that package net/http can serve. The error says why
// there is none.
func (r *Responder) admit(ctx context.Context, c *connection) (net.Conn, error) {
	if err := c.SetReadDeadline(time.Now().Add(r.opts.silence)); err != nil {
		return nil, err
	}
	first, err := c.in.Peek(1)
	if err != nil {
		return nil, r.silence(err)
	}
	if first[0] != 0x16 { // TLS's handshake record, RFC 8446 section 5.1
		return r.admitHTTP(c, c)
	}
	c.tls = true
	secure := tls.Server(c, r.authority.config(dialled(c)))
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, handshakeError(err)
	}
	state := secure.ConnectionState()
	c.serverName = state.ServerName
	if state.NegotiatedProtocol == "h2" {
		return secure, c.SetDeadline(time.Time{}) // net/http recognizes HTTP/2 only by the *tls.Conn itself
	}
	if err := c.SetDeadline(time.Now().Add(r.opts.silence)); err != nil {
		return nil, err
	}
	return r.admitHTTP(secure, c)
}

// dialled returns the names in the certificate for a client that asks for no name: those of what it dialled.
func dialled(c *connection) []string {
	names := []string{c.about.Address}
	if c.about.Loopback {
		names = append(names, "localhost")
	}
	return append(names, c.about.Names...)
}

// handshakeError says what to do about a failed handshake. Clients refuse a certificate in different ways, or just close
// the connection.
func handshakeError(err error) error {
	text := err.Error()
	if errors.Is(err, io.EOF) || strings.Contains(text, "certificate") || strings.Contains(text, "bad record MAC") {
		return fmt.Errorf("the tool ended the TLS handshake (%w): it doesn't seem to trust the test's authority; if its certificates are compiled in, pinned or made during the run, make it use /run/mayfly/ca-bundle.pem", err)
	}
	return fmt.Errorf("the TLS handshake failed: %w", err)
}

// silence turns the error of a first read into one that says what the tool did.
func (r *Responder) silence(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the tool sent nothing for %s, so it waits for a server that speaks first; mocks speak HTTP", r.opts.silence)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errSilent
	}
	return err
}

// maxMethod is the longest method that is recognized, in bytes.
const maxMethod = 32

// admitHTTP reads the beginning of a request and returns a connection that reads it again.
func (r *Responder) admitHTTP(from net.Conn, c *connection) (net.Conn, error) {
	var head []byte
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		head = append(head, buf[:n]...)
		known, http := looksLikeHTTP(head)
		switch {
		case known && http:
			return &peeked{Conn: from, in: io.MultiReader(bytes.NewReader(head), from), conn: c}, c.SetDeadline(time.Time{})
		case known:
			return nil, fmt.Errorf("the tool sent %s, which isn't HTTP; mocks speak HTTP", firstBytes(head))
		case err != nil && len(head) == 0:
			return nil, r.silence(err)
		case err != nil:
			return nil, fmt.Errorf("the tool sent %s and no more, which isn't an HTTP request", strconv.QuoteToASCII(string(head)))
		}
	}
}

// firstBytes returns head quoted, if it is short. Of a longer one it returns only the first bytes, which are enough to tell
// many protocols apart: masking doesn't find a part of a secret.
func firstBytes(head []byte) string {
	const whole, part = 64, 4
	if len(head) <= whole {
		return strconv.QuoteToASCII(string(head))
	}
	return fmt.Sprintf("%s and more", strconv.QuoteToASCII(string(head[:part])))
}

// looksLikeHTTP reports whether head begins with a method (RFC 9110 section 9.1), which may be the PRI of HTTP/2's preface,
// and a space. known is false if it needs more bytes to tell.
func looksLikeHTTP(head []byte) (known, http bool) {
	for i, b := range head {
		switch {
		case b == ' ':
			return true, i > 0
		case i >= maxMethod, (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && b != '-':
			return true, false
		}
	}
	return false, false
}
