package image

import (
	"errors"
	"strings"

	"github.com/mayfly-run/mayfly/internal/textsafe"
)

// The kinds of failure, for errors.Is.
var (
	// ErrNotFound means that the store or the registry has no such image, tag, digest or blob.
	ErrNotFound = errors.New("image not found")
	// ErrReference means that the reference isn't a valid image name.
	ErrReference = errors.New("invalid image reference")
	// ErrUnreachable means that nothing answers at the registry's address, or that its name doesn't resolve.
	ErrUnreachable = errors.New("registry unreachable")
	// ErrUnavailable means that the registry answers with an internal failure (5xx) or a rate limit (429).
	ErrUnavailable = errors.New("registry unavailable")
	// ErrUnauthorized means that the registry refuses the credentials or requires some (401, 403).
	ErrUnauthorized = errors.New("registry access denied")
	// ErrTLS means that the registry's certificate isn't trusted, or that the registry doesn't use TLS.
	ErrTLS = errors.New("registry TLS failure")
	// ErrPlainHTTP means that the request would use HTTP without TLS, which isn't allowed for this registry.
	ErrPlainHTTP = errors.New("plain HTTP refused")
	// ErrCredentialHost means that the registry asks to send its credentials to another site.
	ErrCredentialHost = errors.New("credentials for another host refused")
	// ErrRedirect means that the registry redirects to a private address, away from TLS, or too many times.
	ErrRedirect = errors.New("registry redirect refused")
	// ErrStalled means that the registry sent nothing for too long, too little for too long, or took too long for a document.
	ErrStalled = errors.New("registry stalled")
	// ErrTruncated means that there are fewer bytes than announced.
	ErrTruncated = errors.New("content truncated")
	// ErrOversize means that there are more bytes than announced.
	ErrOversize = errors.New("content longer than announced")
	// ErrDigest means that the content doesn't have the requested digest.
	ErrDigest = errors.New("wrong digest")
	// ErrMalformed means that a manifest, config, layer or archive doesn't follow its format.
	ErrMalformed = errors.New("malformed image")
	// ErrHostile means that the content has no legitimate use: names that leave the layer, forged whiteouts, a working
	// directory in /proc.
	ErrHostile = errors.New("hostile image refused")
	// ErrBudget means that the image exceeds a budget in Limits.
	ErrBudget = errors.New("image over budget")
	// ErrPlatform means that the image doesn't exist for the requested platform.
	ErrPlatform = errors.New("no image for this platform")
	// ErrNoSpace means that the disk is full.
	ErrNoSpace = errors.New("no space left on device")
	// ErrAmbiguous means that the ids of several images begin with a short id.
	ErrAmbiguous = errors.New("ambiguous image id")
	// ErrMounted means that something is mounted inside a directory to delete.
	ErrMounted = errors.New("mounted directory left alone")
	// ErrUnsupported means that this operating system or file system lacks something that a store needs.
	ErrUnsupported = errors.New("unsupported on this system")
)

// Error is a failure with its kind and a hint.
type Error struct {
	Kind error  // one of the Err… values; errors.Is matches it
	Msg  string // what happened and where
	Hint string // what to do next; may be empty
	Err  error  // the cause; may be nil
}

// Error returns the message, the cause and the hint on one line. Some of the text comes from registries and archives, so Error
// escapes characters that aren't graphic as in Go strings: the text can't control a terminal or begin a new line.
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

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
