package image

import (
	"errors"
	"strings"

	"github.com/mayfly-run/mayfly/internal/textsafe"
)

// The kinds of failure that a caller may want to tell apart, with errors.Is.
var (
	// ErrNotFound: the store or the registry has no such image, tag, digest or blob.
	ErrNotFound = errors.New("image not found")
	// ErrReference: the reference isn't a valid image name.
	ErrReference = errors.New("invalid image reference")
	// ErrUnreachable: nothing answers at the registry's address, or its name doesn't resolve.
	ErrUnreachable = errors.New("registry unreachable")
	// ErrUnavailable: the registry answers, but with a failure of its own (5xx) or a rate limit (429).
	ErrUnavailable = errors.New("registry unavailable")
	// ErrUnauthorized: the registry refuses the credentials, or wants some (401, 403).
	ErrUnauthorized = errors.New("registry access denied")
	// ErrTLS: the registry's certificate isn't trusted, or it doesn't speak TLS.
	ErrTLS = errors.New("registry TLS failure")
	// ErrPlainHTTP: the exchange would have gone over HTTP without TLS, which isn't allowed for this registry.
	ErrPlainHTTP = errors.New("plain HTTP refused")
	// ErrCredentialHost: the registry asked for its credentials to be sent to another site.
	ErrCredentialHost = errors.New("credentials for another host refused")
	// ErrRedirect: the registry leads to a private address, away from TLS, or through too many redirects.
	ErrRedirect = errors.New("registry redirect refused")
	// ErrStalled: the registry sent no byte for the stall time-out, too few for long, or took too long for a document.
	ErrStalled = errors.New("registry stalled")
	// ErrTruncated: fewer bytes came than were announced.
	ErrTruncated = errors.New("content truncated")
	// ErrOversize: more bytes came than were announced.
	ErrOversize = errors.New("content longer than announced")
	// ErrDigest: the content doesn't have the digest it was asked for by.
	ErrDigest = errors.New("wrong digest")
	// ErrMalformed: a manifest, config, layer or archive that isn't what its format says.
	ErrMalformed = errors.New("malformed image")
	// ErrHostile: content that has no honest use: names that leave the layer, forged whiteouts, a working directory
	// in /proc.
	ErrHostile = errors.New("hostile image refused")
	// ErrBudget: the image is over a budget of Limits.
	ErrBudget = errors.New("image over budget")
	// ErrPlatform: the image isn't there for the platform asked for.
	ErrPlatform = errors.New("no image for this platform")
	// ErrNoSpace: the disk is full.
	ErrNoSpace = errors.New("no space left on device")
	// ErrAmbiguous: a short id that more than one image begins with.
	ErrAmbiguous = errors.New("ambiguous image id")
	// ErrMounted: something is mounted inside a directory that was to be deleted.
	ErrMounted = errors.New("mounted directory left alone")
	// ErrUnsupported: this operating system or file system can't do what a store needs.
	ErrUnsupported = errors.New("unsupported on this system")
)

// Error is a failure with its kind and, where there is one, what to do next.
type Error struct {
	Kind error  // one of the Err… values; errors.Is matches it
	Msg  string // what happened and where
	Hint string // what to do next; may be empty
	Err  error  // the cause; may be nil
}

// Error puts the parts on one line: message, cause, hint. Registries and archives wrote some of it, so characters that
// don't print are escaped as in Go's strings: none steers a terminal or begins a line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Msg)
	if e.Msg == "" {
		b.WriteString(e.Kind.Error())
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return textsafe.Escape(b.String())
}

// Unwrap gives errors.Is and errors.As both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
