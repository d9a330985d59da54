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

// PruneOptions of one prune.
type PruneOptions struct {
	// All forgets the references too, except those that a live process holds.
	All bool
	// DryRun only counts.
	DryRun bool
}

// Pruned is what a prune removed, or would remove.
type Pruned struct {
	References []string // canonical; with PruneOptions.All
	Images     int
	Layers     int
	Blobs      int
	Bytes      int64 // of blobs and of unpacked files
}

// Prune removes what no reference leads to: manifests, layers, blobs, and the leftovers of processes that died. What a
// live process holds or is pulling stays. Starting a held image never waits for the deletion of files: that happens
// after the locks are gone.
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
	// Last, when the gc lock is gone: the slow part.
	defer func() { err = errors.Join(err, w.Close()) }()
	gc, err := acquire(ctx, s.gcLock(), flock.Exclusive, nil)
	if err != nil {
		return done, err
	}
	defer gc.Close()
	live, locked, err := s.mark(o, &done)
	// The locks on what goes are kept until it is out of sight: nobody can begin to hold it meanwhile.
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

// alive is what must stay, by the name it has in its directory.
type alive struct{ images, layers, blobs map[string]bool }

// mark collects what references, runs and pulls need. It returns the locked records of the images that go.
//
// What pulls bring in is read first: a pull that ends meanwhile has written its reference before it let go.
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

// lockUnheld tries to lock the image records that aren't in live. One that it can't lock is held by a run, and put in.
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
			continue // being pulled: the pull has said what its parts are
		}
		if err != nil {
			return fmt.Errorf("%w: remove the image and pull it again", err)
		}
		live.blobs[rec.ConfigID.Hex] = true
		for _, l := range rec.Layers {
			live.layers[layerName(l.DiffID)] = true
			live.blobs[l.Digest.Hex] = true
		}
	}
	return nil
}

// trash is one thing to remove.
type trash struct {
	path  string
	bytes int64
	count *int // of Pruned
}

// garbage lists what isn't alive. Images come first: one without its layers would be found by Lookup and not be usable.
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

// takeOut moves the trash into the work directory, where nobody looks. What has something mounted in it stays, and is
// reported at the end.
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

// sweepLocks removes the lock files that nobody has. Each is removed under its own lock; one who opened it meanwhile
// finds, once he has the lock, that the file has lost its name, and makes another.
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

// mountpoints are absolute paths, with links resolved, and the prefix to compare by.
type mountpoints struct {
	root, real string
	at         []string
}

// within returns a mount at or below path, which lies in root, or nothing.
func (m mountpoints) within(path string) string {
	real := m.real + strings.TrimPrefix(path, m.root)
	for _, at := range m.at {
		if at == real || strings.HasPrefix(at, real+string(filepath.Separator)) {
			return at
		}
	}
	return ""
}
