package cli

import (
	"errors"
	"io"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
)

// dryRun prints the spec that a run would start, secrets as references. It
// looks at what is in the image store and fetches nothing.
func dryRun(w io.Writer, h *host, req *run.Request) error {
	present := true
	t, spec, err := h.runner.Prepare(run.NewID(), req, func(ref string) (*image.Image, error) {
		img, err := h.images.Lookup(ref)
		if errors.Is(err, image.ErrNotFound) {
			present = false
			return &image.Image{Reference: ref}, nil
		}
		return img, err
	})
	if err != nil {
		return err
	}
	return printJSON(w, map[string]any{
		"tool": t.Name, "image_present": present, "timeout": t.Timeout.String(), "retry": t.Retry, "spec": spec,
	})
}
