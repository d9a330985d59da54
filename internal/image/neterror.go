package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// explain turns a failure of a request into an *Error with its kind, the registry and a hint.
func explain(host string, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return known // without the library's text around it, whose URLs may be signed
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	reg := "registry " + host
	// For a registry on this machine, the library tries TLS and plain HTTP, and err contains both answers. An untrusted
	// certificate explains more than the status that followed.
	var status *transport.Error
	if errors.As(err, &status) && !isCertificate(err) {
		return explainStatus(reg, host, status)
	}
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case isTLS(err):
		return &Error{Kind: ErrTLS, Msg: reg + ": TLS failure", Err: &saidError{err}, Hint: "set ca_file for it in the registry settings if it has its own authority, or plain_http if it has no TLS"}
	case errors.As(err, &dns):
		return &Error{Kind: ErrUnreachable, Msg: reg + ": no such host", Err: err, Hint: "check the registry's name and this machine's DNS"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Kind: ErrUnreachable, Msg: reg + ": nothing listens there", Err: err, Hint: "check the address, and that the registry is running"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &Error{Kind: ErrTruncated, Msg: reg + ": the connection ended early", Err: err, Hint: "try again"}
	case strings.Contains(err.Error(), "timeout awaiting response headers"): // net/http has no type for it
		return &Error{Kind: ErrStalled, Msg: reg + ": it doesn't answer", Err: err, Hint: "try again, or set a mirror"}
	case errors.As(err, &op), errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return &Error{Kind: ErrUnreachable, Msg: reg + ": no connection", Err: err, Hint: "check the network and the registry"}
	default:
		return &Error{Kind: ErrUnavailable, Msg: reg, Err: &saidError{err}}
	}
}

func explainStatus(reg, host string, err *transport.Error) error {
	said := &saidError{err}
	switch {
	case err.StatusCode == http.StatusUnauthorized || err.StatusCode == http.StatusForbidden:
		return &Error{
			Kind: ErrUnauthorized, Msg: fmt.Sprintf("%s: access denied (%d)", reg, err.StatusCode), Err: said,
			Hint: "docker login " + host + " stores the credentials that Mayfly uses; check the name too: some registries give this answer for an image that doesn't exist",
		}
	case err.StatusCode == http.StatusNotFound:
		return &Error{Kind: ErrNotFound, Msg: reg + ": no such image (404)", Err: said, Hint: "check the name and the tag"}
	case err.StatusCode == http.StatusTooManyRequests:
		return &Error{Kind: ErrUnavailable, Msg: reg + ": too many requests (429)", Err: said, Hint: "wait, log in with docker login " + host + ", or set a mirror"}
	default:
		return &Error{Kind: ErrUnavailable, Msg: fmt.Sprintf("%s: status %d", reg, err.StatusCode), Err: said}
	}
}

func isCertificate(err error) bool {
	var (
		verify  *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid)
}

func isTLS(err error) bool {
	var (
		record tls.RecordHeaderError
		alert  tls.AlertError
	)
	return isCertificate(err) || errors.As(err, &record) || errors.As(err, &alert) ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") // net/http has no type for it
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// saidError is an error whose text comes from a registry, or from a library that may repeat a registry's text. The text is quoted, so
// that it can't look like Mayfly's own, and limited in length.
type saidError struct{ err error }

const maxSaid = 300 // the largest length of that text in bytes

func (e *saidError) Error() string {
	said := e.err.Error()
	if status, ok := e.err.(*transport.Error); ok { //nolint:errorlint // the text of a wrapping error must not be used
		words := *status
		words.Request = nil // after a redirect its URL may be signed
		said = words.Error()
	}
	if len(said) > maxSaid {
		said = strings.ToValidUTF8(said[:maxSaid], "") + "…"
	}
	return strconv.Quote(said)
}

func (e *saidError) Unwrap() error { return e.err }

// transient reports whether the same request may succeed soon.
func transient(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	for _, final := range []error{
		ErrTLS, ErrPlainHTTP, ErrCredentialHost, ErrRedirect, ErrOversize, ErrDigest, ErrMalformed, ErrHostile,
		ErrBudget, ErrUnauthorized, ErrNotFound, ErrNoSpace, ErrPlatform,
	} {
		if errors.Is(err, final) {
			return false
		}
	}
	var status *transport.Error
	if errors.As(err, &status) {
		return status.StatusCode >= 500 || status.StatusCode == http.StatusTooManyRequests || status.StatusCode == http.StatusRequestTimeout
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsTemporary || dns.IsTimeout
	}
	return errors.Is(err, ErrStalled) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUnavailable)
}
