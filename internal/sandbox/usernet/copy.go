package usernet

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/time/rate"
)

// limiter is a token bucket of bytes; nil means no limit.
type limiter = rate.Limiter

// newLimiter returns a limiter for a rate in bits per second. Its burst is the
// bytes of a twentieth of a second, and at least one large packet.
func newLimiter(bits int64) *limiter {
	perSecond := max(bits/8, 1)
	return rate.NewLimiter(rate.Limit(perSecond), int(max(perSecond/20, 16<<10)))
}

// Buffers start small and grow with the traffic, so that thousands of idle
// connections are cheap and a busy connection is fast.
const (
	smallBuffer = 4 << 10
	largeBuffer = 256 << 10
)

var largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}

// copyLimited copies until the end of src, no faster than the limit, and returns
// the number of bytes written. A thrifty copy keeps its small buffer.
func copyLimited(ctx context.Context, dst io.Writer, src io.Reader, limit *limiter, thrifty bool) (total int64, err error) {
	buf := make([]byte, smallBuffer)
	var pooled *[]byte
	defer func() {
		if pooled != nil {
			largeBuffers.Put(pooled)
		}
	}()
	for {
		window := buf
		if limit != nil {
			window = buf[:min(len(buf), limit.Burst())]
		}
		n, readErr := src.Read(window)
		if n > 0 {
			if limit != nil {
				if err := limit.WaitN(ctx, n); err != nil {
					return total, err
				}
			}
			written, err := dst.Write(window[:n])
			total += int64(written)
			if err != nil {
				return total, err
			}
		}
		switch {
		case errors.Is(readErr, io.EOF):
			return total, nil
		case readErr != nil:
			return total, readErr
		case n == len(window) && pooled == nil && !thrifty:
			pooled = largeBuffers.Get().(*[]byte)
			buf = *pooled
		}
	}
}
