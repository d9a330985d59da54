package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
)

// A content is kept once, whoever sent it. What a project was sent is in the store: whoever knows the digest of another project's content can't name it
// before they have sent the same bytes, and isn't told that it is there.

// sent returns which of these contents a project was sent.
func (s *Server) sent(ctx context.Context, project string, digests []string) (map[string]bool, error) {
	for _, digest := range digests {
		if _, err := content.Digits(digest); err != nil {
			return nil, err
		}
	}
	return s.store.Contents(ctx, project, digests)
}

// checkSent checks that a project was sent the contents of a bundle. The error of one that another project has is that of one that nobody has.
func (s *Server) checkSent(ctx context.Context, project string, b *api.Bundle) error {
	digests := make([]string, len(b.Files))
	for i, f := range b.Files {
		digests[i] = f.Digest
	}
	sent, err := s.sent(ctx, project, digests)
	if err != nil {
		return err
	}
	for i, f := range b.Files {
		if !sent[f.Digest] {
			return notSent(fmt.Sprintf("body.files[%d]", i), f)
		}
	}
	return nil
}

// loadSent is load for a bundle that came with a request about a project.
func (s *Server) loadSent(ctx context.Context, project string, b *api.Bundle) (*loaded, error) {
	if err := checkFiles(b); err != nil {
		return nil, err
	}
	if err := s.checkSent(ctx, project, b); err != nil {
		return nil, err
	}
	return s.load(ctx, b)
}

func (s *Server) missing(ctx context.Context, in *struct {
	InProject
	Body api.Digests
},
) (*body[api.Digests], error) {
	sent, err := s.sent(ctx, in.Project, in.Body.Digests)
	if err != nil {
		return nil, s.explain(err, "content")
	}
	out := &body[api.Digests]{Body: api.Digests{Digests: []string{}}}
	for _, digest := range in.Body.Digests {
		has := sent[digest]
		if has {
			if has, err = s.archive.Renew(ctx, digest); err != nil { // until the version that needs it is made
				return nil, s.explain(err, "content "+digest)
			}
		}
		if !has {
			out.Body.Digests = append(out.Body.Digests, digest)
		}
	}
	return out, nil
}

// maxContent bounds one content that is sent.
const maxContent = 256 << 20

func (s *Server) putContent(_ context.Context, in *struct {
	InProject
	Digest string `path:"digest" doc:"sha256:HEX"`
},
) (*huma.StreamResponse, error) {
	return s.receive(in.Digest, maxContent, "the content is larger than 256 MiB", func(ctx context.Context) error {
		return s.store.AddContents(ctx, in.Project, []string{in.Digest})
	}), nil
}

// receive puts a content into the archive, and then calls done. One that is there is written again: only the bytes prove that the sender has them.
func (s *Server) receive(digest string, most int64, tooLarge string, done func(ctx context.Context) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		body := s.body(w, r, most)
		err := s.archive.Put(r.Context(), digest, body)
		if err == nil {
			err = done(r.Context())
		}
		if err != nil {
			var large *http.MaxBytesError
			if body.broken() {
				err = cutShort(err)
			} else if errors.As(err, &large) {
				err = problem(http.StatusRequestEntityTooLarge, run.CodeInvalidRequest, tooLarge, "leave large files out")
			}
			s.refuse(c, asProblem(s.explain(err, "content "+digest)))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}}
}
