package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/oci"
	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/program"
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
	shim, err := program.Find(program.Shim)
	if err != nil {
		return nil, err
	}
	r, err := rootless()
	if err != nil {
		return nil, err
	}
	if r == nil {
		return oci.New(shim, "/run/mayfly", nil), nil
	}
	dir, err := home()
	if err != nil {
		return nil, err
	}
	dirs := runtimeDirs(r, dir)
	return oci.New(shim, dirs[0], r, dirs[1:]...), nil
}

// checkNamespace refuses the variable of the user namespace where somebody else has set it: no command knows then whose
// files it works with.
func checkNamespace() error {
	_, err := oci.Entered()
	return err
}

// rootless is nil for root. Before the user namespace is entered it says who
// the user is and nothing of the ids.
func rootless() (*oci.Rootless, error) {
	r, err := oci.Entered()
	if uid := os.Geteuid(); r == nil && err == nil && uid != 0 {
		r = &oci.Rootless{UID: uid}
	}
	return r, err
}

// runtimeDirs are where a user's live runs have their state: the first is this
// session's, in a folder that nobody but the user can have made. The session of
// a cron job has no XDG_RUNTIME_DIR (XDG base directory specification), so the
// other may have runs too.
func runtimeDirs(r *oci.Rootless, home string) []string {
	lasting := filepath.Join(home, "run")
	session := os.Getenv("XDG_RUNTIME_DIR")
	if session == "" {
		session = filepath.Join("/run/user", strconv.Itoa(r.UID))
	}
	if !filepath.IsAbs(session) || !oci.OwnDir(session) {
		return []string{lasting}
	}
	return []string{filepath.Join(session, "mayfly"), lasting}
}

// enterNamespace starts the command again as root of a user namespace, for an
// ordinary user: images are unpacked and sandboxes made with the user's
// subordinate ids. It returns when there is nothing to do, or with an error.
// vetted says what [vet] has looked at of the definitions that it will read.
func enterNamespace(vetted ownership.Vetted) error {
	if os.Geteuid() == 0 {
		return nil
	}
	dir, err := home() // as the user has it
	if err != nil {
		return err
	}
	shim, err := program.Find(program.Shim)
	if err != nil {
		return err
	}
	return oci.Enter(shim, os.Args, []string{"MAYFLY_HOME=" + dir, ownership.VettedEnv + "=" + string(vetted)})
}

// storeOptions are the image store's for this user.
func storeOptions() (image.Options, error) {
	r, err := rootless()
	if err != nil || r == nil {
		return image.Options{}, err
	}
	return image.Options{UserXattr: true, FirstID: 1}, nil
}

// probeHost says what this host can enforce, as a run of this user finds it.
func probeHost(dir string) ([]engine.Check, error) {
	unsupported := &engine.Unsupported{}
	err := enterNamespace("")
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
