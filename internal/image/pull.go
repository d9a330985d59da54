package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// PullOptions are the options of a pull.
type PullOptions struct {
	// Platform is the platform to choose from a multi-platform image; by default the store's.
	Platform Platform
	// Progress is called for each event, one call at a time, from several goroutines. It must not block for long.
	Progress func(ProgressEvent)
}

// Pull resolves the reference at the registry's mirrors or the registry, and adds the image to the store. It fetches only what the
// store doesn't have. If it fails, the image isn't visible, but complete layers stay for the next attempt.
func (s *Store) Pull(ctx context.Context, ref string, o PullOptions) (*Image, error) {
	img, err := s.pull(ctx, ref, o)
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", ref, err)
	}
	return img, nil
}

func (s *Store) pull(ctx context.Context, ref string, o PullOptions) (*Image, error) {
	r, err := parseReference(ref)
	if err != nil {
		return nil, err
	}
	if o.Platform == (Platform{}) {
		o.Platform = s.opts.Platform
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if err := s.sweep(); err != nil {
		return nil, err
	}
	prog := &progress{report: o.Progress, ref: ref}
	prog.send(ProgressEvent{Phase: Resolving})
	remote, err := s.newRemote(r)
	if err != nil {
		return nil, err
	}
	defer remote.close()
	p, index, err := remote.resolve(ctx, r.name.Identifier(), o.Platform)
	if err != nil {
		return nil, err
	}
	w, err := s.newWork()
	if err != nil {
		return nil, err
	}
	rec := refRecord{
		Written: ref, Canonical: r.canonical(), Platform: o.Platform, Manifest: p.manifestID, Index: index, Pulled: time.Now().UTC(),
	}
	err = s.install(ctx, w, p, []refRecord{rec}, remote, prog)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	prog.send(ProgressEvent{Phase: Done})
	return s.load(rec)
}

// remote has all the places of a reference's repository, in the order in which they are asked.
type remote struct {
	s        *Store
	sessions []*session
}

func (s *Store) newRemote(r reference) (*remote, error) {
	endpoints, err := s.opts.Registries.endpoints(r.name.Context().RegistryStr())
	if err != nil {
		return nil, err
	}
	m := &remote{s: s}
	for _, e := range endpoints {
		x, err := s.newSession(e, r.name.Context().RepositoryStr())
		if err != nil {
			m.close()
			return nil, err
		}
		m.sessions = append(m.sessions, x)
	}
	return m, nil
}

func (m *remote) close() {
	for _, x := range m.sessions {
		x.close()
	}
}

// resolve returns the plan of the image that a tag or digest refers to, for a platform. index is the digest of the index that the image
// was chosen from, or "".
func (m *remote) resolve(ctx context.Context, id string, want Platform) (p *plan, index string, err error) {
	raw, err := m.document(ctx, "manifests", id)
	if err != nil {
		return nil, "", err
	}
	d, err := parseDocument(raw)
	if err != nil {
		return nil, "", err
	}
	if d.isIndex() {
		index = sha256Of(raw).String()
		child, err := want.choose(d.Manifests)
		if err != nil {
			return nil, "", err
		}
		if err := checkSHA256(child.Digest); err != nil {
			return nil, "", err
		}
		if raw, err = m.document(ctx, "manifests", child.Digest.String()); err != nil {
			return nil, "", err
		}
		if d, err = parseDocument(raw); err != nil {
			return nil, "", err
		}
	}
	if err := d.checkImage(m.s.opts.Limits); err != nil {
		return nil, "", err
	}
	config, err := m.document(ctx, "blobs", d.Config.Digest.String())
	if err != nil {
		return nil, "", err
	}
	if p, err = newPlan(raw, config, m.s.opts.Limits); err != nil {
		return nil, "", err
	}
	return p, index, p.checkPlatform(want)
}

// document reads a manifest or a config from the store, or from the first place that has it. If id is a digest, it verifies the
// content.
func (m *remote) document(ctx context.Context, kind, id string) ([]byte, error) {
	want, wantErr := v1.NewHash(id) // a tag isn't a digest
	if wantErr == nil {
		if raw, err := m.s.document(want); err == nil {
			return raw, nil
		}
	}
	var errs []error
	for _, x := range m.sessions {
		raw, err := x.retry(ctx, kind, id)
		if err == nil && wantErr == nil && sha256Of(raw) != want {
			err = &Error{Kind: ErrDigest, Msg: fmt.Sprintf("registry %s: %s has digest %s", x.endpoint.host, id, sha256Of(raw))}
		}
		if err == nil {
			return raw, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		errs = append(errs, err)
	}
	return nil, joinPlaces(errs)
}

// joinPlaces joins the errors of all places. The registry's error comes first, then those of its mirrors.
func joinPlaces(errs []error) error {
	slices.Reverse(errs)
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// retry reads a document, and tries again after a transient failure, within Options.DocumentTimeout.
func (x *session) retry(ctx context.Context, kind, id string) ([]byte, error) {
	limit := x.s.opts.DocumentTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &Error{
		Kind: ErrStalled, Msg: fmt.Sprintf("registry %s: %s %s took longer than %s", x.endpoint.host, kind, id, limit),
		Hint: "check the network, and try again",
	})
	defer cancel()
	accept := manifestTypes
	if kind != "manifests" {
		accept = nil
	}
	for attempt := 1; ; attempt++ {
		raw, err := x.small(ctx, kind, id, accept)
		if err == nil || !transient(err) || attempt >= x.s.opts.Attempts {
			return raw, err
		}
		if err := sleep(ctx, x.s.opts.RetryDelay<<(attempt-1)); err != nil {
			return nil, err
		}
	}
}

func (m *remote) places() int { return len(m.sessions) }

func (m *remote) open(ctx context.Context, l layerPlan, place int) (io.ReadCloser, error) {
	return newBlobReader(ctx, m.sessions[place:], l.digest.String(), l.size), nil
}

// document reads a manifest or config of the store, and verifies its digest.
func (s *Store) document(h v1.Hash) ([]byte, error) {
	if err := checkSHA256(h); err != nil {
		return nil, err
	}
	raw, err := readSmall(s.blobPath(h), s.opts.Limits.ManifestBytes)
	if err != nil {
		return nil, err
	}
	if sha256Of(raw) != h {
		return nil, &Error{Kind: ErrDigest, Msg: fmt.Sprintf("stored blob %s is damaged", h)}
	}
	return raw, nil
}
