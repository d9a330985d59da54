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

// decompress returns the decompressed bytes of src, whose first bytes say how it is compressed: gzip, zstd or not at all
// (image-spec, layer.md). It doesn't use the media type, which archives don't have; the digests verify the result anyway. close
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

// decompressArchive is like decompress, for archives, which may also be compressed with xz or bzip2.
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

// isZstd reports whether head begins with a zstd frame or with a skippable frame (RFC 8878 section 3.1).
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

// kindReader makes a decoder's errors malformed errors. Errors of the source below that have a kind stay unchanged.
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

// budgetReader returns an error of kind ErrBudget after left bytes, unless r ends there.
type budgetReader struct {
	r    io.Reader
	left int64
	what string
}

func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One more byte shows whether r ends at the limit.
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
