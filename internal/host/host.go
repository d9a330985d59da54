// Package host is what this machine has to run tools with: images, secrets, caches, the operator's policy, the engine, and the
// journals of workflows. It carries runs and workflows out here, and resumes them.
//
// It knows neither a command line nor a terminal: its callers decide what to run, and show what happens.
package host

import (
	"fmt"
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow"
)

// Host is this machine, as one user finds it. Opening it makes nothing, and neither do its methods.
type Host struct{ dir string }

// Open returns this machine.
func Open() (*Host, error) {
	dir, err := home()
	if err != nil {
		return nil, err
	}
	return &Host{dir: dir}, nil
}

// Images opens the store of images, with the registries' configuration.
func (h *Host) Images() (*image.Store, error) {
	config, err := image.LoadConfig(filepath.Join(h.dir, "registries.json"))
	if err != nil {
		return nil, err
	}
	opts, err := storeOptions()
	if err != nil {
		return nil, err
	}
	opts.Registries = config
	return image.Open(h.imageDir(), opts)
}

func (h *Host) imageDir() string { return filepath.Join(h.dir, "images") }

// Secrets opens the encrypted store of secrets.
func (h *Host) Secrets() *secret.Store { return secret.OpenStore(filepath.Join(h.dir, "secrets")) }

// Runs are the journals of workflows.
func (h *Host) Runs() workflow.Runs { return workflow.Runs{Dir: filepath.Join(h.dir, "runs")} }

// RunnerOptions are what a caller decides of how runs are carried out here.
type RunnerOptions struct {
	// Secrets is asked before the encrypted store; nil for no other source.
	Secrets secret.Source
	// Pull is when images are pulled: missing, always or never.
	Pull string
	// Notice, unless nil, is told which images the store has instead of one that it doesn't have.
	Notice func(text string)
	// Unmasked, unless nil, is told the name of each secret that runs get and that is too short to be masked, once.
	Unmasked func(name string)
}

// Runner puts together what carries runs out: the images, the secrets, the policy and the engine.
func (h *Host) Runner(o RunnerOptions) (*local.Runner, error) {
	images, err := h.Images()
	if err != nil {
		return nil, err
	}
	engine, err := newEngine()
	if err != nil {
		return nil, err
	}
	allowed, err := loadPolicy()
	if err != nil {
		return nil, err
	}
	var secrets secret.Source = h.Secrets()
	if o.Secrets != nil {
		secrets = secret.Chain{o.Secrets, secrets}
	}
	if o.Unmasked != nil {
		secrets = &noticing{Source: secrets, unmasked: o.Unmasked, told: map[string]bool{}}
	}
	return &local.Runner{
		Engine:  engine,
		Images:  pulling{Store: images, when: o.Pull, configured: images.Configured("docker.io"), notice: o.Notice},
		Secrets: secrets,
		Policy:  allowed,
		Places:  local.Places{Caches: filepath.Join(h.dir, "caches")},
	}, nil
}

// DropNamedCaches removes the caches that earlier versions kept for a tool's name alone, and says so in notices.
func DropNamedCaches(r *local.Runner, t *tool.Tool, notice func(text string)) {
	dropped, err := local.DropNamedCaches(r.Caches, t)
	for _, name := range dropped {
		notice(fmt.Sprintf("the cache %s of tool %s is dropped: it belonged to the tool's name alone, so any file with that name could have written it; this run starts with an empty cache", name, t.Name))
	}
	if err != nil {
		notice(fmt.Sprintf("can't remove a cache of an earlier version, which nothing uses any longer: %v", err))
	}
}
