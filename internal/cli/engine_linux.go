package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/oci"
)

// newEngine is the embedded engine.
func newEngine() (engine.Engine, error) {
	e, err := embedded()
	if err != nil {
		return nil, err
	}
	return e, nil
}

func embedded() (*oci.Engine, error) {
	shim, err := oci.ShimPath()
	if err != nil {
		return nil, err
	}
	r := rootless()
	return oci.New(shim, runtimeDir(r), r), nil
}

// rootless is nil for root. Before the user namespace is entered it says who
// the user is and nothing of the ids.
func rootless() *oci.Rootless {
	if r := oci.Entered(); r != nil {
		return r
	}
	if uid := os.Geteuid(); uid != 0 {
		return &oci.Rootless{UID: uid}
	}
	return nil
}

// runtimeDir is where live runs have their state. A user's is not in
// XDG_RUNTIME_DIR: that folder lets nobody else pass, and a sandbox's ids are
// others than the user's. It doesn't follow TMPDIR either, or mayfly shell and
// the sweep of another session would look elsewhere.
func runtimeDir(r *oci.Rootless) string {
	if r != nil {
		return filepath.Join("/tmp", "mayfly-"+strconv.Itoa(r.UID))
	}
	return "/run/mayfly"
}

// enterNamespace starts the command again as root of a user namespace, for an
// ordinary user: images are unpacked and sandboxes made with the user's
// subordinate ids. It returns when there is nothing to do, or with an error.
func enterNamespace() error {
	if os.Geteuid() == 0 {
		return nil
	}
	dir, err := home() // as the user has it
	if err != nil {
		return err
	}
	shim, err := oci.ShimPath()
	if err != nil {
		return err
	}
	return oci.Enter(shim, os.Args, []string{"MAYFLY_HOME=" + dir})
}

// storeOptions are the image store's for this user.
func storeOptions() image.Options {
	if rootless() != nil {
		return image.Options{UserXattr: true, FirstID: 1}
	}
	return image.Options{}
}

// probeHost says what this host can enforce, as a run of this user finds it.
func probeHost(dir string) ([]engine.Check, error) {
	unsupported := &engine.Unsupported{}
	err := enterNamespace()
	if errors.As(err, &unsupported) {
		return []engine.Check{{Feature: unsupported.Feature, Status: engine.CheckMissing, Detail: unsupported.Why, Remedy: unsupported.Remedy}}, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := embedded()
	if err != nil {
		return nil, err
	}
	return e.Probe(filepath.Join(dir, "images")), nil
}
