package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run/local"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// host is this machine, put together to run tools.
type host struct {
	images *image.Store
	runner *local.Runner
}

// openHost puts the packages together: the image store, the secrets with
// those of the command line first, the engine. Nothing is made yet. command is
// the one that is run, for errors.
func openHost(command string, secretFlags []string, stdin io.Reader, pull string, notices io.Writer) (*host, error) {
	dir, err := home()
	if err != nil {
		return nil, err
	}
	images, err := openImages(dir)
	if err != nil {
		return nil, err
	}
	given, err := secret.ParseFlags(secretFlags, stdin)
	if err != nil {
		return nil, &usageError{command: command, err: err}
	}
	if err := given.Missing(); err != nil {
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
	return &host{
		images: images,
		runner: &local.Runner{
			Engine:  engine,
			Images:  pulling{Store: images, when: pull, configured: images.Configured("docker.io"), notice: notices},
			Secrets: secret.Chain{given, openSecrets(dir)},
			Policy:  allowed,
			Places:  local.Places{Caches: filepath.Join(dir, "caches")},
		},
	}, nil
}

// dropNamedCaches says which caches of an earlier version are gone before a run that would have had them.
func (f *runFlags) dropNamedCaches(s streams, h *host, t *tool.Tool) {
	dropped, err := local.DropNamedCaches(h.runner.Caches, t)
	if f.quiet {
		return
	}
	for _, name := range dropped {
		fmt.Fprintf(s.err, "mayfly: the cache %s of tool %s is dropped: it was kept by the tool's name alone, so any file of that name could have written it; this run starts with an empty one\n", name, t.Name)
	}
	if err != nil {
		fmt.Fprintln(s.err, "mayfly: a cache of an earlier version, which nothing uses any more, can't be removed:", err)
	}
}

// policyVariable names a policy instead of the host's. It is for tests and for a user's own; whoever sets it could as
// well run another program.
const policyVariable = "MAYFLY_POLICY"

// loadPolicy reads the operator's policy; nil is a host without one. A policy that somebody names has to be there:
// without it runs would be allowed more than was meant.
func loadPolicy() (*policy.Policy, error) {
	path := os.Getenv(policyVariable)
	if path == "" {
		return policy.Find(policy.DefaultPath)
	}
	p, err := policy.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w; correct the path, or unset the variable to use the host's policy; for no limits name an empty file", policyVariable, err)
	}
	return p, err
}

// openImages opens the store of images with the registries' configuration.
func openImages(dir string) (*image.Store, error) {
	config, err := image.LoadConfig(filepath.Join(dir, "registries.json"))
	if err != nil {
		return nil, err
	}
	opts, err := storeOptions()
	if err != nil {
		return nil, err
	}
	opts.Registries = config
	return image.Open(filepath.Join(dir, "images"), opts)
}

// openSecrets opens the encrypted store of secrets.
func openSecrets(dir string) *secret.Store { return secret.OpenStore(filepath.Join(dir, "secrets")) }
