package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mayfly-run/mayfly/internal/flock"
)

// Hold keeps Prune from removing an image until release is called or this process ends in any way. owner, such as the id of a run, is
// only for errors. The error is of kind ErrNotFound if the image was pruned after it was looked up; then pull it again. release
// may be called more than once.
//
// If another process keeps the lock, for example a stopped prune, Hold returns an error that names the process after 30 s (longer
// on a busy machine), or as soon as ctx ends.
//
// The hold is a shared flock on the image's record, which Prune must lock exclusively. Hold doesn't make or remove a file, so it
// adds only some microseconds to a start.
func (s *Store) Hold(ctx context.Context, img *Image, owner string) (release func() error, err error) {
	f, err := s.lockImage(ctx, img)
	if err != nil {
		return nil, fmt.Errorf("hold %s for %s: %w", img.Reference, owner, err)
	}
	for _, l := range img.Layers {
		ok, err := exists(l.Path)
		if err == nil && !ok {
			err = notPulled(img.Reference, img.Platform)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("hold %s for %s: %w", img.Reference, owner, err), f.Close())
		}
	}
	return sync.OnceValue(f.Close), nil
}

// lockImage locks an image's record, shared. Prune has the exclusive lock only while it checks whether someone holds the image, and
// while it renames the image away.
func (s *Store) lockImage(ctx context.Context, img *Image) (*os.File, error) {
	_, digest, _ := strings.Cut(img.Digest, "@")
	manifest, err := parseSHA256(digest)
	if err != nil {
		return nil, err
	}
	path := s.imagePath(manifest.Hex)
	ctx, stop := s.untilLate(ctx, path)
	defer stop()
	f, err := flock.Open(ctx, path, os.O_RDONLY, flock.Shared, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notPulled(img.Reference, img.Platform)
	}
	return f, err
}

// holdRecord is holds/<random>.json: what a pull adds to the store, before there is an image to hold. It is valid while its file is
// locked.
type holdRecord struct {
	Owner    string    `json:"owner"`
	PID      int       `json:"pid"`
	Since    time.Time `json:"since"`
	Manifest v1.Hash   `json:"manifest"`
	DiffIDs  []v1.Hash `json:"diff_ids"`
	Blobs    []v1.Hash `json:"blobs"`
}

// hold writes down what a pull is going to use and add. It does so under the shared gc lock, so that every prune that runs
// afterwards knows of it. hold calls waiting if it must wait for that lock.
func (s *Store) hold(ctx context.Context, rec holdRecord, waiting func()) (release func() error, err error) {
	rec.PID, rec.Since = os.Getpid(), time.Now().UTC()
	data, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("hold: %w", err)
	}
	gc, err := acquire(ctx, s.gcLock(), flock.Shared, waiting)
	if err != nil {
		return nil, fmt.Errorf("hold: %w", err)
	}
	defer gc.Close()
	f, err := os.CreateTemp(s.holdDir(), "*.json")
	if err != nil {
		return nil, fmt.Errorf("hold: %w", noSpace(err))
	}
	release = sync.OnceValue(func() error { return errors.Join(os.Remove(f.Name()), f.Close()) })
	ok, err := flock.Try(f, flock.Exclusive)
	if err == nil && !ok {
		err = fmt.Errorf("hold: new file %s is locked by another process", f.Name())
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err != nil {
		return nil, errors.Join(noSpace(err), release())
	}
	return release, nil
}

// liveHolds returns the records of running pulls, and deletes those of pulls that have died. The caller holds the gc lock.
func (s *Store) liveHolds() ([]holdRecord, error) {
	entries, err := os.ReadDir(s.holdDir())
	if err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	var live []holdRecord
	for _, e := range entries {
		rec, alive, err := readHold(filepath.Join(s.holdDir(), e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read hold: %w", err)
		}
		if alive {
			live = append(live, rec)
		}
	}
	return live, nil
}

func readHold(name string) (rec holdRecord, alive bool, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, false, nil // released in the meantime
	}
	if err != nil {
		return rec, false, err
	}
	defer f.Close()
	dead, err := flock.Try(f, flock.Exclusive)
	if err != nil {
		return rec, false, err
	}
	if dead {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return rec, false, err
		}
		return rec, false, nil
	}
	err = json.NewDecoder(f).Decode(&rec)
	return rec, err == nil, err
}
