package server

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// A runner gets the contents that the attempts need that it holds, and sends artifacts while it holds an attempt that makes some. What an
// attempt needs and makes is in its request, so each server knows it, also one that the runner has just come to.

func (s *Server) getContent(ctx context.Context, in *struct {
	RunnerName
	Digest string `path:"digest" doc:"sha256:HEX"`
},
) (*huma.StreamResponse, error) {
	what := "content " + in.Digest
	digits, err := content.Digits(in.Digest) // a sealed request has no more of it that can be read
	if err != nil {
		return nil, s.explain(err, what)
	}
	ok, err := s.holdsOne(ctx, holder(who(ctx).Pool, in.Name, in.Instance), [][]byte{[]byte(digits)}, func(r *run.Request) bool { return needs(r, in.Digest) })
	if err != nil {
		return nil, s.explain(err, what)
	}
	if !ok { // whether the server has it or not
		return nil, problem(http.StatusNotFound, run.CodeNoSuchThing, fmt.Sprintf("no attempt that this runner holds needs the %s", what), "get it while an attempt that needs it is held")
	}
	return s.content(in.Digest, typeBytes, what), nil
}

// needs reports whether a run needs a content.
func needs(r *run.Request, digest string) bool {
	return slices.ContainsFunc(r.Tools(), func(t *tool.Tool) bool { return t.Source.Files == digest }) || r.Tests != nil && r.Tests.Files == digest || slices.ContainsFunc(r.Artifacts, func(a run.Artifact) bool { return !a.Made && a.Digest == digest })
}

// maxArtifact bounds an artifact that a runner sends.
const maxArtifact = 4 << 30

func (s *Server) putArtifact(ctx context.Context, in *struct {
	RunnerName
	Digest string `path:"digest" doc:"sha256:HEX"`
},
) (*huma.StreamResponse, error) {
	maybe := [][]byte{[]byte(`"made":true`), []byte(`"sealed":`)}
	runner := holder(who(ctx).Pool, in.Name, in.Instance)
	ok, err := s.holdsOne(ctx, runner, maybe, func(r *run.Request) bool {
		return slices.ContainsFunc(r.Artifacts, func(a run.Artifact) bool { return a.Made })
	})
	if err != nil {
		return nil, s.explain(err, "content "+in.Digest)
	}
	if !ok {
		return nil, problem(http.StatusConflict, run.CodeNotHeld, "this runner holds no attempt that makes artifacts: its lease ran out, or the run has ended", "end it, and report nothing more of it")
	}
	return s.receive(in.Digest, maxArtifact, "the artifact is larger than 4 GiB", func(ctx context.Context) error {
		return s.store.AddContents(ctx, runner, []string{in.Digest})
	}), nil
}

// checkArtifacts checks that a runner has sent the artifacts of a result; otherwise it could name any project's content, and have a later step read it.
// What a runner has sent is noted under the runner's name, which has a slash, and so isn't a project's.
func (s *Server) checkArtifacts(ctx context.Context, runner string, result *run.Result) error {
	if result == nil || len(result.Artifacts) == 0 {
		return nil
	}
	sent, err := s.store.Contents(ctx, runner, slices.Collect(maps.Values(result.Artifacts)))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(result.Artifacts)) {
		if !sent[result.Artifacts[name]] {
			return problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, fmt.Sprintf("the runner has not sent the artifact %s", name), "send it before the result that names it")
		}
	}
	return nil
}

// holdsOne reports whether a runner holds an attempt with a request as is says. Only requests that have one of the texts are opened. One that
// can't be read is an error only if it may be the one that is looked for.
func (s *Server) holdsOne(ctx context.Context, runner string, texts [][]byte, is func(*run.Request) bool) (ok bool, err error) {
	var unread error
	err = s.store.HeldRequests(ctx, runner, func(data []byte) (bool, error) {
		if !slices.ContainsFunc(texts, func(text []byte) bool { return bytes.Contains(data, text) }) {
			return false, nil
		}
		req, _, err := s.openRequest(ctx, data)
		if err != nil {
			s.log.Error("read the request of an attempt", "runner", shownRunner(runner), "error", err)
			unread = fmt.Errorf("read the request of an attempt: %w", err)
			return false, nil
		}
		ok = is(req.Request)
		return ok, nil
	})
	if err == nil && !ok {
		err = unread
	}
	return ok, err
}
