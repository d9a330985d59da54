package image

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// archive is an image archive whose files are extracted to a work directory. The files have numbers there, so that no name of the
// archive becomes a name on disk; archive has their names and digests.
//
// An archive may come from a pipe, and the documents that describe it may be at its end. So all of it must be extracted before
// it can be read.
type archive struct {
	files map[string]v1.Hash  // digests by clean name
	links map[string]string   // docker save's links to a layer that two images share
	blobs map[v1.Hash]spooled // files by digest
	limit int64               // the largest size of a document in bytes
	kept  int64               // bytes of all blobs
	free  int64               // bytes of blobs that any archive may have, however small it is
	from  *contextReader      // the archive, possibly compressed
}

// spooled is an extracted file.

type spooled struct {
	path string
	size int64
}

const (
	maxArchiveFiles = 50_000 // 127 layers and two documents for each of hundreds of images
	maxLinkHops     = 8
	maxExpansion    = 1000 // ratio of the files' size to the archive's: about that of zeros in gzip; bombs in bzip2, xz or zstd have more
	freeShare       = 32   // any archive may have this fraction of Limits.ImageBytes, which is 40 GiB by default
	tarBlock        = 512  // the size of a tar header in bytes (pax(1))
)

// spool extracts a tar, compressed or not, to dir.
func spool(ctx context.Context, r io.Reader, dir string, lim Limits) (*archive, error) {
	from := &contextReader{ctx: ctx, r: r}
	plain, done, err := decompressArchive(from)
	if err != nil {
		return nil, err
	}
	defer done()
	head := bufio.NewReaderSize(plain, tarBlock)
	begin, err := head.Peek(tarBlock)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	begin = slices.Clone(begin)
	a := &archive{files: map[string]v1.Hash{}, links: map[string]string{}, blobs: map[v1.Hash]spooled{}, limit: lim.ManifestBytes, free: lim.ImageBytes / freeShare, from: from}
	total := 2 * lim.ImageBytes
	tr := tar.NewReader(&budgetReader{r: head, left: total + maxArchiveFiles*tarEntryBytes, what: "archive"})
	for n := 0; ; n++ {
		h, err := tr.Next()
		if n == 0 && (errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)) {
			return nil, &Error{Kind: ErrMalformed, Msg: "it is " + whatIs(begin) + ", not the archive of an image", Hint: loadHint}
		}
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return nil, tarError(err)
		}
		if n >= maxArchiveFiles {
			return nil, &Error{Kind: ErrBudget, Msg: fmt.Sprintf("archive has more than %d entries", maxArchiveFiles)}
		}
		name, err := cleanName(h.Name, lim.PathDepth)
		if err != nil {
			return nil, err
		}
		switch h.Typeflag {
		case tar.TypeReg:
			if h.Size > lim.streamBytes() {
				return nil, &Error{Kind: ErrBudget, Msg: fmt.Sprintf("file %q of the archive has %d bytes; the limit is %d", name, h.Size, lim.streamBytes())}
			}
			if err := a.add(name, filepath.Join(dir, strconv.Itoa(n)), tr); err != nil {
				return nil, err
			}
		case tar.TypeSymlink, tar.TypeLink:
			target := h.Linkname
			if h.Typeflag == tar.TypeSymlink {
				target = path.Join(path.Dir(name), target)
			}
			a.links[name] = path.Clean(target)
		}
	}
}

func (a *archive) add(name, file string, r io.Reader) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return noSpace(err)
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(sum, &diskWriter{f}, a), r)
	if err != nil {
		return fmt.Errorf("file %q of the archive: %w", name, tarError(err))
	}
	h := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
	// In a layout, the name of a blob is its digest (image-spec, image-layout.md, "Blobs").
	if want, ok := strings.CutPrefix(name, "blobs/sha256/"); ok && want != h.Hex {
		return &Error{Kind: ErrDigest, Msg: fmt.Sprintf("blob sha256:%s of the archive has digest %s", want, h)}
	}
	a.files[name] = h
	if _, again := a.blobs[h]; again {
		a.kept -= n
		return os.Remove(file)
	}
	a.blobs[h] = spooled{file, n}
	return nil
}

// Write counts the bytes of the blobs, and returns an error for a bomb. The archive may name only at its end the files that it
// needs, so that all of them are kept until then.
func (a *archive) Write(p []byte) (int, error) {
	if a.kept += int64(len(p)); a.kept-a.free > maxExpansion*a.from.count {
		return 0, &Error{Kind: ErrBudget, Msg: fmt.Sprintf("its files are more than %d times as large as the archive", maxExpansion), Hint: "it may be made to fill disks; if you trust it, decompress it first"}
	}
	return len(p), nil
}

// keep removes the blobs that aren't layers of the images.
func (a *archive) keep(images []loadable) error {
	named := map[v1.Hash]bool{}
	for _, i := range images {
		for _, l := range i.plan.layers {
			named[l.digest] = true
		}
	}
	for h, b := range a.blobs {
		if named[h] {
			continue
		}
		if err := os.Remove(b.path); err != nil {
			return err
		}
		delete(a.blobs, h)
	}
	return nil
}

// named finds a file by its name in the archive, through links.
func (a *archive) named(name string) (v1.Hash, bool) {
	name = path.Clean(name)
	for range maxLinkHops {
		if h, ok := a.files[name]; ok {
			return h, true
		}
		to, ok := a.links[name]
		if !ok {
			break
		}
		name = to
	}
	return v1.Hash{}, false
}

// document reads a small file by its digest.
func (a *archive) document(h v1.Hash) ([]byte, error) {
	b, ok := a.blobs[h]
	if !ok {
		return nil, &Error{Kind: ErrNotFound, Msg: fmt.Sprintf("the archive has no blob %s", h)}
	}
	return readSmall(b.path, a.limit)
}

// decode reads a JSON file by its name, and reports whether it exists.
func (a *archive) decode(name string, into any) (bool, error) {
	h, ok := a.named(name)
	if !ok {
		return false, nil
	}
	raw, err := a.document(h)
	if err != nil {
		return false, fmt.Errorf("%s of the archive: %w", name, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return false, malformed(name+" of the archive", err)
	}
	return true, nil
}

// places implements blobSource.
func (a *archive) places() int { return 1 }

func (a *archive) open(_ context.Context, l layerPlan, _ int) (io.ReadCloser, error) {
	b, ok := a.blobs[l.digest]
	if !ok {
		return nil, &Error{Kind: ErrNotFound, Msg: fmt.Sprintf("the archive has no layer %s", l.digest)}
	}
	return os.Open(b.path)
}

// contextReader reads until the context ends, which it checks before each read.
type contextReader struct {
	ctx   context.Context
	r     io.Reader
	count int64 // bytes read
}

func (c *contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.r.Read(p)
	c.count += int64(n)
	return n, err
}
