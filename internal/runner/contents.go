package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// The contents that runs need come from the server, and the artifacts that they make go there.

// fetch gets the contents that a run needs and that aren't here.
func (r *Runner) fetch(ctx context.Context, req *run.Request) error {
	digests := []string{}
	for _, t := range req.Tools() {
		if d := t.Source.Files; d != "" && !slices.Contains(digests, d) {
			digests = append(digests, d)
		}
	}
	if req.Tests != nil {
		digests = append(digests, req.Tests.Files)
	}
	for _, a := range req.Artifacts {
		if !a.Made {
			digests = append(digests, a.Digest)
		}
	}
	for _, d := range digests {
		if err := r.fetchOne(ctx, d); err != nil {
			return fmt.Errorf("get content %s from the server: %w", d, err)
		}
	}
	return nil
}

func (r *Runner) fetchOne(ctx context.Context, digest string) error {
	path, err := r.o.Content.Path(digest)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return nil // its digest is checked when it is unpacked
	}
	begin := time.Now()
	return r.untilAnswered(ctx, "get a content", digest, func() (bool, error) {
		in, err := r.o.Server.Content(ctx, digest)
		var broken *brokenError
		if err != nil {
			err = &brokenError{err}
		} else {
			err = errors.Join(r.keep(ctx, digest, &reading{in}), in.Close())
		}
		return !errors.As(err, &broken) || final(err) || time.Since(begin) > fetchTime, err
	})
}

// fetchTime is for how long a content is asked for that the server doesn't send: it may be damaged.
const fetchTime = 10 * time.Minute

// brokenError marks a failure of the server: the next try may reach another one.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// reading reads what a server sends.
type reading struct{ in io.Reader }

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &brokenError{err}
	}
	return n, err
}

// keep keeps a content that the server sends.
func (r *Runner) keep(ctx context.Context, digest string, in io.Reader) error {
	if err := os.MkdirAll(string(r.o.Content), 0o700); err != nil {
		return err
	}
	out, err := os.CreateTemp(string(r.o.Content), "fetching-")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err == nil {
		var got string
		if got, err = r.o.Content.Take(ctx, out.Name()); err == nil && got != digest {
			err = fmt.Errorf("the server sent another content, %s", got)
		}
	}
	if err != nil {
		_ = os.Remove(out.Name()) // it may have been taken
	}
	return err
}

// sendArtifacts sends what a step of a workflow has made to the server, where later steps get it. When the end of the attempt was asked
// for, it tries for lastArtifacts more.
func (r *Runner) sendArtifacts(ctx, reporting context.Context, result *run.Result) error {
	reporting, cancel := context.WithCancelCause(reporting)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(lastArtifacts, func() { cancel(context.Cause(ctx)) })
	})
	defer stop()
	for name, digest := range result.Artifacts {
		if err := r.sendArtifact(reporting, digest); err != nil {
			return fmt.Errorf("send the artifact %s to the server: %w", name, err)
		}
	}
	return nil
}

func (r *Runner) sendArtifact(ctx context.Context, digest string) error {
	path, err := r.o.Content.Path(digest)
	if err != nil {
		return err
	}
	return r.untilAnswered(ctx, "send an artifact", digest, func() (answered bool, err error) {
		f, err := os.Open(path)
		if err != nil {
			return true, err
		}
		defer f.Close()
		err = r.o.Server.PutContent(ctx, digest, f)
		return err == nil || final(err), err
	})
}

// untilAnswered does something with a content again and again, until it is done, has failed for good, or ctx ends.
func (r *Runner) untilAnswered(ctx context.Context, what, digest string, do func() (answered bool, err error)) error {
	pause := 100 * time.Millisecond
	for {
		answered, err := do()
		if answered || ctx.Err() != nil {
			return err
		}
		r.o.Log.Warn(what+"; trying again", "digest", digest, "error", err, "in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause = min(2*pause, 5*time.Second)
	}
}
