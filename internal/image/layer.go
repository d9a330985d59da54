package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mayfly-run/mayfly/internal/flock"
)

// blobSource has the blobs of layers, in one place or, with mirrors, in several.
type blobSource interface {
	// places returns the number of places.
	places() int
	// open returns a reader of a blob from its beginning, at a place (from 0) or one after it. It reads at most the size in
	// the plan.
	open(ctx context.Context, l layerPlan, place int) (io.ReadCloser, error)
}

// stored is the store as a source.
type stored struct{ s *Store }

func (stored) places() int { return 1 }

func (o stored) open(_ context.Context, l layerPlan, _ int) (io.ReadCloser, error) {
	return os.Open(o.s.blobPath(l.digest))
}

// installLayer adds a layer's blob and tree to the store, unless they exist, and returns the record of the tree. If several processes
// or goroutines want the same layer, one fetches it and the others wait. n is the number of the layer, from 1.
func (s *Store) installLayer(ctx context.Context, w *workDir, l layerPlan, from blobSource, image *imageBudget, p *progress, n int) (treeRecord, error) {
	e := ProgressEvent{Digest: l.digest.String(), Layer: n, Total: l.size}
	lock, err := acquire(ctx, filepath.Join(s.lockDir(), "layer-"+l.digest.Hex), flock.Exclusive, func() {
		e.Phase = Waiting
		p.send(e)
	})
	if err != nil {
		return treeRecord{}, err
	}
	defer lock.Close()
	haveBlob, err := exists(s.blobPath(l.digest))
	if err != nil {
		return treeRecord{}, err
	}
	rec, haveTree, err := s.readTree(l.diffID)
	if err != nil {
		return treeRecord{}, err
	}
	if haveTree {
		if !image.take(rec.Bytes) {
			return treeRecord{}, &Error{Kind: ErrBudget, Msg: fmt.Sprintf("image unpacks to more than %d bytes", s.opts.Limits.ImageBytes)}
		}
		if haveBlob {
			e.Phase, e.Current = Present, l.size
			p.send(e)
			return rec, nil
		}
	}
	f := &layerFetch{s: s, w: w, l: l, image: image, keepBlob: !haveBlob, unpack: !haveTree}
	if haveBlob {
		from = stored{s}
	}
	e.Phase = Downloading
	fresh, err := f.try(ctx, from, p, e)
	if err != nil {
		return treeRecord{}, fmt.Errorf("layer %s: %w", l.digest, err)
	}
	if !haveTree {
		rec = fresh
	}
	e.Phase, e.Current = Unpacked, l.size
	p.send(e)
	return rec, nil
}

func (s *Store) readTree(diff v1.Hash) (treeRecord, bool, error) {
	var rec treeRecord
	err := readRecord(filepath.Join(s.layerPath(diff), "layer.json"), &rec)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, false, nil
	}
	return rec, err == nil, err
}

// layerFetch fetches, verifies and stores one layer.
type layerFetch struct {
	s        *Store
	w        *workDir
	l        layerPlan
	image    *imageBudget
	keepBlob bool // store the blob
	unpack   bool // store the tree
}

// try runs the fetch. If a place gives the wrong content, it tries the next place.
func (f *layerFetch) try(ctx context.Context, from blobSource, p *progress, e ProgressEvent) (rec treeRecord, err error) {
	for place := range from.places() {
		var src io.ReadCloser
		if src, err = from.open(ctx, f.l, place); err != nil {
			return rec, err
		}
		rec, err = f.run(ctx, &countingReader{r: src, p: p, e: e})
		err = errors.Join(err, src.Close())
		if !errors.Is(err, ErrDigest) && !errors.Is(err, ErrOversize) && !errors.Is(err, ErrTruncated) {
			break
		}
	}
	return rec, err
}

// run reads the blob once. In the same pass, the blob is hashed and written, and its content is decompressed, hashed and unpacked.
// The results are put in place only if both digests are right, and are otherwise removed.
func (f *layerFetch) run(ctx context.Context, src io.Reader) (rec treeRecord, err error) {
	dir, err := os.MkdirTemp(f.w.path, "layer-")
	if err != nil {
		return rec, noSpace(err)
	}
	defer func() { err = errors.Join(err, removeTree(dir)) }()
	sum := sha256.New()
	out := io.Writer(sum)
	var blob *os.File
	if f.keepBlob {
		if blob, err = os.OpenFile(filepath.Join(dir, "blob"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return rec, noSpace(err)
		}
		defer blob.Close()
		out = io.MultiWriter(sum, &diskWriter{blob})
	}
	in := io.TeeReader(src, out)
	if f.unpack {
		if rec, err = f.unpackInto(ctx, in, filepath.Join(dir, "layer")); err != nil {
			return rec, f.blame(in, sum, err)
		}
	}
	// Read to the end, so that the digest covers all bytes. The reader limits them to the announced size.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return rec, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.l.digest.Hex {
		return rec, &Error{Kind: ErrDigest, Msg: fmt.Sprintf("blob has digest sha256:%s, not %s", got, f.l.digest)}
	}
	return rec, f.place(dir, blob)
}

// blame finds the reason of a failed unpacking. If the content isn't the requested one, the error is a wrong digest, whatever the
// decoder reported. It reads the rest of the blob only up to 64 MiB.
func (f *layerFetch) blame(in io.Reader, sum interface{ Sum([]byte) []byte }, cause error) error {
	if !errors.Is(cause, ErrMalformed) && !errors.Is(cause, ErrTruncated) {
		return cause
	}
	const little = 64 << 20
	if n, err := io.CopyN(io.Discard, in, little); !errors.Is(err, io.EOF) || n == little {
		return cause
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.l.digest.Hex {
		return &Error{Kind: ErrDigest, Msg: fmt.Sprintf("blob has digest sha256:%s, not %s", got, f.l.digest), Err: cause}
	}
	return cause
}

// unpackInto makes a layer's directory at dir, with the tree and its record.
func (f *layerFetch) unpackInto(ctx context.Context, in io.Reader, dir string) (treeRecord, error) {
	tree := filepath.Join(dir, "tree")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return treeRecord{}, noSpace(err)
	}
	plain, done, err := decompress(in)
	if err != nil {
		return treeRecord{}, err
	}
	defer done()
	sum := sha256.New()
	tarball := io.TeeReader(&budgetReader{r: plain, left: f.s.opts.Limits.streamBytes(), what: "layer"}, sum)
	rec, err := f.s.unpackTar(ctx, tarball, tree, f.image)
	if err != nil {
		return rec, err
	}
	if _, err := io.Copy(io.Discard, tarball); err != nil {
		return rec, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.l.diffID.Hex {
		return rec, &Error{Kind: ErrDigest, Msg: fmt.Sprintf("unpacked layer has digest sha256:%s, not %s as the config says", got, f.l.diffID)}
	}
	rec.DiffID = f.l.diffID
	data, err := json.Marshal(rec)
	if err != nil {
		return rec, err
	}
	if err := os.WriteFile(filepath.Join(dir, "layer.json"), data, 0o600); err != nil {
		return rec, noSpace(err)
	}
	if f.s.opts.NoSync {
		return rec, nil
	}
	return rec, syncTree(dir)
}

// place moves the verified blob and layer to their places in the store.
func (f *layerFetch) place(dir string, blob *os.File) error {
	if f.unpack {
		err := f.s.rename(filepath.Join(dir, "layer"), f.s.layerPath(f.l.diffID))
		// Another pull may have stored the layer first, from another blob with the same content.
		if _, there, readErr := f.s.readTree(f.l.diffID); err != nil && (readErr != nil || !there) {
			return err
		}
	}
	if blob == nil {
		return nil
	}
	if !f.s.opts.NoSync {
		if err := blob.Sync(); err != nil {
			return noSpace(err)
		}
	}
	return f.s.rename(blob.Name(), f.s.blobPath(f.l.digest))
}

// diskWriter writes to a file, with errors of kind ErrNoSpace for a full disk.
type diskWriter struct{ f *os.File }

func (d *diskWriter) Write(p []byte) (int, error) {
	n, err := d.f.Write(p)
	return n, noSpace(err)
}
