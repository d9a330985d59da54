package cli

import (
	"errors"
	"io"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// dryRun prints the spec that a run would start, with secrets as references. It looks for the image in the store and pulls
// nothing.
func dryRun(w io.Writer, r *local.Runner, images *image.Store, req *run.Request) error {
	present := true
	p, err := r.Prepare(run.NewID(), req, func(ref string) (*image.Image, error) {
		img, err := images.Lookup(ref)
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
		"tool": p.Tool.Name, "image_present": present, "timeout": p.Tool.Timeout.String(), "retry": plannedRetryOf(p.Tool.Retry), "spec": specOf(p),
	})
}

// plannedSpec is a spec with the folders of this host that its mounts name.
type plannedSpec struct {
	*engine.Spec
	Mounts []plannedMount `json:"mounts,omitempty"` // instead of the spec's
}

type plannedMount struct {
	engine.Mount
	Source string `json:"source,omitempty"`
}

func specOf(p *local.Prepared) plannedSpec {
	out := plannedSpec{Spec: p.Spec}
	for _, m := range p.Spec.Mounts {
		out.Mounts = append(out.Mounts, plannedMount{m, p.Local.Folders[m.Folder]})
	}
	return out
}

// plannedRetry is a tool's retry with the keys that its file has.
type plannedRetry struct {
	Attempts   int    `json:"attempts"`
	Backoff    string `json:"backoff"`
	MaxBackoff string `json:"max_backoff"`
	OnExit     []int  `json:"on_exit,omitempty"`
}

func plannedRetryOf(r *tool.Retry) *plannedRetry {
	if r == nil {
		return nil
	}
	return &plannedRetry{Attempts: r.Attempts, Backoff: r.Backoff.String(), MaxBackoff: r.MaxBackoff.String(), OnExit: r.OnExit}
}
