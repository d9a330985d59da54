package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// blobReader reads a blob of known size from sessions, which it tries in order. After a transient failure it continues where it was,
// with a Range request or by skipping the bytes that it has. The caller hashes the bytes, so it detects a wrong mixture of pieces
// from different places.
//
// It is in one of these phases:
//
//	asking    answer is nil: ask sends a request for what is missing, and leads to reading, or by failed to asking
//	reading   answer gives the byte at off next: Read hands on bytes, until all are there or failed leads to asking
//	ending    off is size, with an answer: finish looks for bytes beyond the size
//	ended     off is size, without an answer
type blobReader struct {
	ctx  context.Context
	id   string // digest
	size int64
	off  int64 // how much was handed on

	sessions []*session // the first is the current one
	tries    tries      // of the current session

	answer *blobAnswer // of the current request; nil between requests
}

// tries are what a session has been asked in vain.
type tries struct {
	failures int   // since the last long stretch of progress
	since    int64 // off at the first of them
	noRanges bool  // it refuses Range requests: what we have is skipped instead
}

const farEnough = 1 << 20 // bytes of progress after which earlier failures don't count

func newBlobReader(ctx context.Context, sessions []*session, id string, size int64) *blobReader {
	return &blobReader{ctx: ctx, sessions: sessions, id: id, size: size}
}

func (b *blobReader) Read(p []byte) (int, error) {
	for {
		if b.answer == nil {
			if b.off == b.size && b.off > 0 {
				return 0, io.EOF // finish has seen the end
			}
			var err error
			if b.answer, err = b.ask(); err != nil {
				if err = b.failed(err); err != nil {
					return 0, err
				}
				continue
			}
		}
		if b.off == b.size {
			return 0, b.finish()
		}
		n, err := b.answer.Read(p[:min(int64(len(p)), b.size-b.off)])
		b.off += int64(n)
		if n > 0 {
			return n, nil // the next read returns the error again
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		err = explain(b.host(), cause(b.answer.ctx, err))
		b.drop()
		if err = b.failed(err); err != nil {
			return 0, err
		}
	}
}

func (b *blobReader) host() string { return b.sessions[0].endpoint.host }

// finish checks that there are no bytes beyond the announced size.
func (b *blobReader) finish() error {
	var one [1]byte
	n, err := io.ReadFull(b.answer, one[:])
	b.drop()
	if n > 0 {
		return &Error{Kind: ErrOversize, Msg: fmt.Sprintf("registry %s sends more than the %d bytes of %s", b.host(), b.size, b.id)}
	}
	if b.size == 0 && !errors.Is(err, io.EOF) {
		return explain(b.host(), err)
	}
	return io.EOF // all announced bytes are here, so an error of the connection doesn't matter
}

// ask asks for the rest of the blob. The next byte of the answer is the one at off.
func (b *blobReader) ask() (*blobAnswer, error) {
	from := b.off
	if b.tries.noRanges {
		from = 0
	}
	x := b.sessions[0]
	a := &blobAnswer{}
	a.ctx, a.cancel = context.WithCancelCause(b.ctx)
	a.dog = watch(x.s.opts, b.host(), a.cancel)
	resp, err := x.get(a.ctx, "blobs", b.id, nil, from) //nolint:bodyclose // end closes it
	if err != nil {
		err = cause(a.ctx, err)
		a.end()
		if from > 0 && refusesRange(err) {
			b.tries.noRanges = true
			return b.ask()
		}
		return nil, err
	}
	a.body, a.Reader = resp.Body, a.dog.reader(resp.Body)
	if err := b.skipTo(a, resp, from); err != nil {
		a.end()
		return nil, err
	}
	return a, nil
}

// skipTo checks an answer to a request for the bytes beginning with from, and skips those before off.
func (b *blobReader) skipTo(a *blobAnswer, resp *http.Response, from int64) error {
	begins := b.off // the place in the blob of the body's first byte
	if resp.StatusCode == http.StatusOK {
		begins = 0
	} else if from == 0 || !rangeStartsAt(resp, b.off) {
		return &Error{Kind: ErrUnavailable, Msg: fmt.Sprintf("registry %s answers with a range that wasn't requested", b.host())}
	}
	if n := resp.ContentLength; n >= 0 && n != b.size-begins {
		kind := ErrTruncated
		if n > b.size-begins {
			kind = ErrOversize
		}
		return &Error{Kind: kind, Msg: fmt.Sprintf("registry %s announces %d bytes for %s, but the manifest says %d", b.host(), n, b.id, b.size-begins)}
	}
	if _, err := io.CopyN(io.Discard, a, b.off-begins); err != nil {
		return explain(b.host(), cause(a.ctx, err))
	}
	return nil
}

// blobAnswer is a request and what the registry answers. Its Reader is watched by dog, which cancels ctx.
type blobAnswer struct {
	io.Reader
	ctx    context.Context
	cancel context.CancelCauseFunc
	dog    *watchdog
	body   io.Closer // nil until the registry has answered
}

func (a *blobAnswer) end() {
	a.dog.stop()
	if a.body != nil {
		a.body.Close()
	}
	a.cancel(nil)
}

// refusesRange reports whether an error means that the registry doesn't answer Range requests, which are optional
// (distribution-spec, "Pulling blobs").
func refusesRange(err error) bool {
	var status *transport.Error
	return errors.As(err, &status) && (status.StatusCode == http.StatusRequestedRangeNotSatisfiable || status.StatusCode == http.StatusNotImplemented)
}

func rangeStartsAt(resp *http.Response, off int64) bool {
	var from, to int64
	var rest string
	n, _ := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%s", &from, &to, &rest)
	return n == 3 && from == off
}

// failed decides what a failure means: nil is to ask again, here after a pause or at the next place.
func (b *blobReader) failed(err error) error {
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	if b.off-b.tries.since >= farEnough {
		b.tries.failures = 0
	}
	if b.tries.failures == 0 {
		b.tries.since = b.off
	}
	b.tries.failures++
	opts := b.sessions[0].s.opts
	if transient(err) && b.tries.failures < opts.Attempts {
		return sleep(b.ctx, opts.RetryDelay<<(b.tries.failures-1))
	}
	if len(b.sessions) > 1 {
		b.sessions, b.tries = b.sessions[1:], tries{}
		return nil
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// drop ends the current request, if there is one.
func (b *blobReader) drop() {
	if b.answer != nil {
		b.answer.end()
		b.answer = nil
	}
}

// Close ends the current request. It returns nil.
func (b *blobReader) Close() error {
	b.drop()
	return nil
}
