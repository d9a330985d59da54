package httpmock

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
)

// body is the part of a request's body that is kept.
type body struct {
	kept      []byte
	raw       []byte // as sent, before decoding: as many of the first bytes as the caller asked for
	size      int64  // of the whole body as sent, in bytes
	truncated bool
}

// readBody reads a body to its end. It keeps the first maxBodyKept bytes, and the first raw bytes as they were sent. A body
// with the encoding gzip is kept decoded. Only as much is decoded as is kept, so that a small body can't become a large
// one. A body that says it is gzip and isn't is kept as it was sent.
func readBody(r io.Reader, encoding string, raw int64) (*body, error) {
	b := &body{}
	most := max(maxBodyKept, raw)
	head, err := io.ReadAll(io.LimitReader(r, most+1))
	b.size = int64(len(head))
	if err == nil && b.size > most {
		var rest int64
		rest, err = io.Copy(io.Discard, r)
		b.size += rest
	}
	b.raw = head[:min(b.size, raw)]
	b.kept = head[:min(len(head), maxBodyKept)]
	b.truncated = len(head) > maxBodyKept
	if err == nil && strings.EqualFold(strings.TrimSpace(encoding), "gzip") {
		b.gunzip(head, maxBodyKept)
	}
	return b, err
}

// gunzip sets kept to the first most bytes of head, decoded. It changes nothing and reports false if head isn't valid gzip.
func (b *body) gunzip(head []byte, most int64) bool {
	z, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return false
	}
	plain, err := io.ReadAll(io.LimitReader(z, most+1))
	if err != nil && !b.truncated {
		return false
	}
	b.truncated = b.truncated && err != nil || int64(len(plain)) > most
	b.kept = plain[:min(int64(len(plain)), most)]
	return true
}
