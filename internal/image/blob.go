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
type blobReader struct {
	ctx      context.Context
	sessions []*session // the first is the current one
	id       string     // digest
	size     int64

	off      int64 // bytes read so far
	failures int   // of the current session, since it last made progress
	since    int64 // off at the first of these failures
	noRanges bool  // the registry refuses Range requests, so bytes are skipped instead

	// The current request; body is nil if there is none.
	body   io.ReadCloser
	reader io.Reader // body, watched by dog
	dog    *watchdog
	cancel context.CancelCauseFunc
	reqCtx context.Context
}

const farEnough = 1 << 20 // bytes of progress after which earlier failures don't count

func newBlobReader(ctx context.Context, sessions []*session, id string, size int64) *blobReader {
	return &blobReader{ctx: ctx, sessions: sessions, id: id, size: size}
}

func (b *blobReader) Read(p []byte) (int, error) {
	for {
		if b.body == nil {
			if b.off == b.size && b.off > 0 {
				return 0, io.EOF // finish has seen the end
			}
			if err := b.open(); err != nil {
				if err = b.failed(err); err != nil {
					return 0, err
				}
				continue
			}
		}
		if b.off == b.size {
			return 0, b.finish()
		}
		n, err := b.reader.Read(p[:min(int64(len(p)), b.size-b.off)])
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
		if err = b.failed(explain(b.host(), cause(b.reqCtx, err))); err != nil {
			return 0, err
		}
	}
}

func (b *blobReader) host() string { return b.sessions[0].endpoint.host }

// finish checks that there are no bytes beyond the announced size.
func (b *blobReader) finish() error {
	var one [1]byte
	n, err := io.ReadFull(b.reader, one[:])
	b.drop()
	if n > 0 {
		return &Error{Kind: ErrOversize, Msg: fmt.Sprintf("registry %s sends more than the %d bytes of %s", b.host(), b.size, b.id)}
	}
	if b.size == 0 && !errors.Is(err, io.EOF) {
		return explain(b.host(), err)
	}
	return io.EOF // all announced bytes are here, so an error of the connection doesn't matter
}

// open requests the rest of the blob.
func (b *blobReader) open() error {
	x := b.sessions[0]
	b.reqCtx, b.cancel = context.WithCancelCause(b.ctx)
	b.dog = watch(x.s.opts, b.host(), b.cancel)
	from := b.off
	if b.noRanges {
		from = 0
	}
	resp, err := x.get(b.reqCtx, "blobs", b.id, nil, from) //nolint:bodyclose // drop closes it
	if err != nil {
		err = cause(b.reqCtx, err)
		b.drop()
		if from > 0 && refusesRange(err) {
			b.noRanges = true
			return b.open()
		}
		return err
	}
	b.body, b.reader = resp.Body, b.dog.reader(resp.Body)
	have := b.off // the offset of the body in the blob
	if resp.StatusCode == http.StatusOK {
		have = 0
	} else if from == 0 || !rangeStartsAt(resp, b.off) {
		b.drop()
		return &Error{Kind: ErrUnavailable, Msg: fmt.Sprintf("registry %s answers with a range that wasn't requested", b.host())}
	}
	if n := resp.ContentLength; n >= 0 && n != b.size-have {
		kind := ErrTruncated
		if n > b.size-have {
			kind = ErrOversize
		}
		b.drop()
		return &Error{Kind: kind, Msg: fmt.Sprintf("registry %s announces %d bytes for %s, but the manifest says %d", b.host(), n, b.id, b.size-have)}
	}
	if _, err := io.CopyN(io.Discard, b.reader, b.off-have); err != nil {
		err = explain(b.host(), cause(b.reqCtx, err))
		b.drop()
		return err
	}
	return nil
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

// failed decides what to do after a failure. It returns nil to try again, after a pause or with the next session, and otherwise the
// final error.
func (b *blobReader) failed(err error) error {
	b.drop()
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	if b.off-b.since >= farEnough {
		b.failures = 0
	}
	if b.failures == 0 {
		b.since = b.off
	}
	b.failures++
	opts := b.sessions[0].s.opts
	if transient(err) && b.failures < opts.Attempts {
		return sleep(b.ctx, opts.RetryDelay<<(b.failures-1))
	}
	if len(b.sessions) > 1 {
		b.sessions, b.failures, b.noRanges = b.sessions[1:], 0, false
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
	if b.dog != nil {
		b.dog.stop()
	}
	if b.body != nil {
		b.body.Close()
		b.body = nil
	}
	if b.cancel != nil {
		b.cancel(nil)
	}
}

// Close ends the current request. It returns nil.
func (b *blobReader) Close() error {
	b.drop()
	return nil
}
