package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// install adds an image's layers to the store, then its documents, and then the references to it. So everything that a reference
// leads to exists before the reference.
func (s *Store) install(ctx context.Context, w *workDir, p *plan, refs []refRecord, from blobSource, prog *progress) error {
	rec := holdRecord{Owner: "pull", Manifest: p.manifestID, Blobs: []v1.Hash{p.manifestID, p.configID}}
	for i, l := range p.layers {
		rec.DiffIDs = append(rec.DiffIDs, l.diffID, linkLayerID(p.file.RootFS.DiffIDs[:i+1]))
		rec.Blobs = append(rec.Blobs, l.digest)
	}
	release, err := s.hold(ctx, rec, func() { prog.send(ProgressEvent{Phase: Waiting}) })
	if err != nil {
		return err
	}
	trees, err := s.installLayers(ctx, w, p, from, prog)
	if err == nil {
		err = s.publishImage(ctx, w, p, trees, refs)
	}
	return errors.Join(err, release())
}

func (s *Store) installLayers(ctx context.Context, w *workDir, p *plan, from blobSource, prog *progress) ([]treeRecord, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		trees  = make([]treeRecord, len(p.layers))
		budget = newImageBudget(s.opts.Limits)
		slots  = make(chan struct{}, s.opts.Jobs)
		first  = sync.Once{}
		failed error
		wg     sync.WaitGroup
	)
	prog.layers = len(p.layers)
	for i, l := range p.layers {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return // another layer has failed
			}
			rec, err := s.installLayer(ctx, w, l, from, budget, prog, i+1)
			if err != nil {
				first.Do(func() { failed = err })
				cancel(err)
				return
			}
			trees[i] = rec
		})
	}
	wg.Wait()
	if failed == nil {
		failed = context.Cause(ctx)
	}
	return trees, failed
}

func (s *Store) publishImage(ctx context.Context, w *workDir, p *plan, trees []treeRecord, refs []refRecord) error {
	rec := imageRecord{
		Manifest: p.manifestID, ConfigID: p.configID, Platform: p.platform(), Config: p.run, Created: p.file.Created.Time,
	}
	for i, l := range p.layers {
		rec.Layers = append(rec.Layers, layerRecord{DiffID: l.diffID, Digest: l.digest, Blob: l.size, Size: trees[i].Bytes})
	}
	var err error
	if rec.Layers, trees, err = s.addLinkLayers(ctx, w, rec.Layers, trees); err != nil {
		return err
	}
	if rec.Folders, err = s.folders(rec.Layers, trees); err != nil {
		return fmt.Errorf("find the owners of the image's folders: %w", err)
	}
	if err := s.publish(w, s.blobPath(p.manifestID), p.manifest); err != nil {
		return err
	}
	if err := s.publish(w, s.blobPath(p.configID), p.config); err != nil {
		return err
	}
	// An existing record stays, since runs hold the image by a lock on that file. Its content would be the same.
	var old imageRecord
	if err := readRecord(s.imagePath(p.manifestID.Hex), &old); err != nil || old.Manifest != rec.Manifest {
		if err := s.publishJSON(w, s.imagePath(p.manifestID.Hex), rec); err != nil {
			return err
		}
	}
	for _, r := range refs {
		if err := s.publishRef(w, r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) publishRef(w *workDir, r refRecord) error {
	ref, err := parseReference(r.Canonical)
	if err != nil {
		return err
	}
	return s.publishJSON(w, s.refPath(ref.key(r.Platform)), r)
}

func (s *Store) publishJSON(w *workDir, path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return s.publish(w, path, data)
}
