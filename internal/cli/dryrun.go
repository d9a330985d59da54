package cli

import (
	"context"
	"errors"
	"io"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
)

// dryRun prints the spec that a run would start, secrets as references. It
// looks at what is in the image store and fetches nothing.
func dryRun(_ context.Context, w io.Writer, h *host, req *run.Request) error {
	if err := req.Tool.Runnable(); err != nil {
		return err
	}
	defaults, err := h.runner.Policy.Apply(req.Tool)
	if err != nil {
		return err
	}
	asked := *req
	asked.Tool = defaults
	img, err := h.images.Lookup(req.Tool.Image)
	pulled := err == nil
	if errors.Is(err, image.ErrNotFound) {
		img, err = &image.Image{Reference: req.Tool.Image}, nil
	}
	if err != nil {
		return err
	}
	spec, err := run.Compile(run.NewID(), &asked, img, h.runner.Caches)
	if err != nil {
		return err
	}
	return printJSON(w, map[string]any{
		"tool": defaults.Name, "image_present": pulled, "timeout": defaults.Timeout.String(), "retry": defaults.Retry, "spec": spec,
	})
}
