package image

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// decompress finds out by its first bytes how src is compressed (gzip, zstd or not at all: image-spec, layer.md) and
// returns the bytes inside. The media type isn't asked: archives have none, and the digests decide in any case. close
// frees the decoder.
func decompress(src io.Reader) (r io.Reader, close func(), err error) {
	br := bufio.NewReaderSize(src, 64<<10)
	head, err := br.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, nil, malformed("gzip layer", err)
		}
		return &kindReader{z, "gzip layer"}, func() { z.Close() }, nil
	case isZstd(head):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderMaxMemory(maxZstdWindow))
		if err != nil {
			return nil, nil, malformed("zstd layer", err)
		}
		return &kindReader{z, "zstd layer"}, z.Close, nil
	default:
		return br, func() {}, nil
	}
}

// decompressArchive is decompress for archives of people, who also have them in xz and bzip2.
func decompressArchive(src io.Reader) (r io.Reader, close func(), err error) {
	br := bufio.NewReaderSize(src, 64<<10)
	head, err := br.Peek(6)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		x, err := xz.NewReader(br, maxXZWindow)
		if err != nil {
			return nil, nil, malformed("xz archive", err)
		}
		return &kindReader{x, "xz archive"}, func() {}, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return &kindReader{bzip2.NewReader(br), "bzip2 archive"}, func() {}, nil
	}
	return decompress(br)
}

// isZstd knows a frame and a skippable frame, which may come first (RFC 8878, 3.1).
func isZstd(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	return bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		(head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18}))
}

func malformed(what string, err error) error {
	return &Error{Kind: ErrMalformed, Msg: what, Err: inWords(err)}
}

// kindReader gives a decoder's own errors their kind; those of the source below pass as they are.
type kindReader struct {
	r    io.Reader
	what string
}

func (k *kindReader) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	var known *Error
	if err == nil || err == io.EOF || errors.As(err, &known) {
		return n, err
	}
	return n, malformed(k.what, err)
}

// budgetReader ends with an error of kind ErrBudget when more than left bytes are read.
type budgetReader struct {
	r    io.Reader
	left int64
	what string
}

func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One byte more tells an end at the limit from a stream beyond it.
		var one [1]byte
		n, err := b.r.Read(one[:])
		if n > 0 {
			return 0, &Error{Kind: ErrBudget, Msg: fmt.Sprintf("%s is larger than its budget", b.what)}
		}
		return 0, err
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
