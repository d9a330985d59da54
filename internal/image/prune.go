package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mayfly-run/mayfly/internal/flock"
)

// PruneOptions are the options of a prune.
type PruneOptions struct {
	// All removes the references too, except those of images that a process holds.
	All bool
	// DryRun only counts.
	DryRun bool
}

// Pruned is what a prune removed, or would remove.
type Pruned struct {
	References []string // canonical names; only with PruneOptions.All
	Images     int
	Layers     int
	Blobs      int
	Bytes      int64 // size of the blobs and of the unpacked files
}

// Prune removes everything that no reference leads to: images, layers, blobs, and what killed processes left. It keeps what a process
// holds or pulls. It deletes the files after it has released its locks, so a start doesn't wait for that.
func (s *Store) Prune(ctx context.Context, o PruneOptions) (Pruned, error) {
	if err := s.prepare(); err != nil {
		return Pruned{}, err
	}
	done, err := s.prune(ctx, o)
	if err != nil {
		return done, fmt.Errorf("prune: %w", err)
	}
	if o.DryRun {
		return done, nil
	}
	if err := s.sweep(); err != nil {
		return done, fmt.Errorf("prune: %w", err)
	}
	return done, nil
}

func (s *Store) prune(ctx context.Context, o PruneOptions) (done Pruned, err error) {
	w, err := s.newWork()
	if err != nil {
		return done, err
	}
	// This deletes the files, which is slow. It runs last, without the gc lock.
	defer func() { err = errors.Join(err, w.Close()) }()
	gc, err := acquire(ctx, s.gcLock(), flock.Exclusive, nil)
	if err != nil {
		return done, err
	}
	defer gc.Close()
	live, locked, err := s.mark(o, &done)
	// Keep the locks of the images that go until they are renamed away, so that nobody can begin to hold them.
	defer func() {
		for _, f := range locked {
			err = errors.Join(err, f.Close())
		}
	}()
	if err != nil {
		return done, err
	}
	list, err := s.garbage(live, &done)
	if err != nil {
		return done, err
	}
	if err := s.takeOut(w, list, o.DryRun, &done); err != nil || o.DryRun {
		return done, err
	}
	return done, s.sweepLocks()
}

// alive is what must stay, by file name.
type alive struct{ images, layers, blobs map[string]bool }

// mark collects what references, runs and pulls need. It also returns the records of the images that go, locked.
//
// It reads the records of pulls first. A pull that ends in the meantime has written its reference before it deleted its record.
func (s *Store) mark(o PruneOptions, done *Pruned) (live alive, locked []*os.File, err error) {
	live = alive{images: map[string]bool{}, layers: map[string]bool{}, blobs: map[string]bool{}}
	pulls, err := s.liveHolds()
	if err != nil {
		return live, nil, err
	}
	for _, h := range pulls {
		live.images[recordName(h.Manifest)] = true
		for _, d := range h.DiffIDs {
			live.layers[layerName(d)] = true
		}
		for _, b := range h.Blobs {
			live.blobs[b.Hex] = true
		}
	}
	refs, err := s.refs()
	if err != nil {
		return live, nil, err
	}
	for _, r := range refs {
		if !o.All {
			live.images[recordName(r.Manifest)] = true
		}
	}
	if locked, err = s.lockUnheld(live.images); err != nil {
		return live, locked, err
	}
	for _, r := range refs {
		if live.images[recordName(r.Manifest)] {
			continue
		}
		done.References = append(done.References, r.Canonical)
		if o.DryRun {
			continue
		}
		if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return live, locked, err
		}
	}
	return live, locked, s.markParts(live)
}

func recordName(manifest v1.Hash) string { return manifest.Hex + ".json" }

// lockUnheld locks the image records that aren't in live. If it can't lock a record, a run holds the image, and it adds the record to
// live.
func (s *Store) lockUnheld(live map[string]bool) (locked []*os.File, err error) {
	entries, err := os.ReadDir(s.imageDir())
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if live[e.Name()] {
			continue
		}
		f, err := os.Open(filepath.Join(s.imageDir(), e.Name()))
		if err != nil {
			return locked, err
		}
		ok, err := flock.Try(f, flock.Exclusive)
		if err == nil && ok {
			locked = append(locked, f)
			continue
		}
		live[e.Name()] = true
		if err = errors.Join(err, f.Close()); err != nil {
			return locked, err
		}
	}
	return locked, nil
}

// markParts adds the layers and blobs of the images that stay.
func (s *Store) markParts(live alive) error {
	for name := range live.images {
		live.blobs[strings.TrimSuffix(name, ".json")] = true
		var rec imageRecord
		err := readRecord(filepath.Join(s.imageDir(), name), &rec)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is being pulled, and the record of the pull has its parts
		}
		if err != nil {
			return fmt.Errorf("%w; remove the image, and pull it again", err)
		}
		live.blobs[rec.ConfigID.Hex] = true
		for _, l := range rec.Layers {
			live.layers[layerName(l.DiffID)] = true
			live.blobs[l.Digest.Hex] = true
		}
	}
	return nil
}

// trash is a file or folder to remove.
type trash struct {
	path  string
	bytes int64
	count *int // the field of Pruned that counts it
}

// garbage returns everything that isn't alive. Images come first, since Lookup would find an image whose layers have gone.
func (s *Store) garbage(live alive, done *Pruned) ([]trash, error) {
	var list []trash
	for _, in := range []struct {
		dir   string
		keep  map[string]bool
		count *int
		size  func(path string) int64
	}{
		{s.imageDir(), live.images, &done.Images, func(string) int64 { return 0 }},
		{s.layerDir(), live.layers, &done.Layers, layerSize},
		{s.blobDir(), live.blobs, &done.Blobs, fileSize},
	} {
		entries, err := os.ReadDir(in.dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if path := filepath.Join(in.dir, e.Name()); !in.keep[e.Name()] {
				list = append(list, trash{path, in.size(path), in.count})
			}
		}
	}
	return list, nil
}

func fileSize(path string) int64 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func layerSize(path string) int64 {
	var rec treeRecord
	if err := readRecord(filepath.Join(path, "layer.json"), &rec); err != nil {
		return 0
	}
	return rec.Bytes
}

// takeOut moves the trash to the work directory. If something is mounted in a folder, the folder stays, and the error says so after
// everything else has been moved.
func (s *Store) takeOut(w *workDir, list []trash, dryRun bool, done *Pruned) error {
	busy, err := mountedBelow(s.root)
	if err != nil {
		return err
	}
	var errs []error
	for i, t := range list {
		if m := busy.within(t.path); m != "" {
			errs = append(errs, mounted(m, nil))
			continue
		}
		if !dryRun {
			err := os.Rename(t.path, filepath.Join(w.path, fmt.Sprintf("trash-%d", i)))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
		}
		*t.count++
		done.Bytes += t.bytes
	}
	return errors.Join(errs...)
}

// sweepLocks removes the lock files that nobody has locked. It removes each file under the file's lock. A process that has opened the
// file in the meantime gets the lock afterwards, finds that the file has lost its name, and makes another one.
func (s *Store) sweepLocks() error {
	entries, err := os.ReadDir(s.lockDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(s.lockDir(), e.Name())
		if path == s.gcLock() {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		free, err := flock.Try(f, flock.Exclusive)
		if err == nil && free {
			err = os.Remove(path)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// mountpoints are the mount points below a store.
type mountpoints struct {
	root, real string   // the store's root, without and with links resolved
	at         []string // absolute paths, with links resolved
}

// within returns a mount point at or below path, which is in root, or "" if there is none.
func (m mountpoints) within(path string) string {
	real := m.real + strings.TrimPrefix(path, m.root)
	for _, at := range m.at {
		if at == real || strings.HasPrefix(at, real+string(filepath.Separator)) {
			return at
		}
	}
	return ""
}
