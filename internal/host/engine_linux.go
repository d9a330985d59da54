package host

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

// newEngine returns the embedded engine.
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

// CheckNamespace refuses the variable of the user namespace if someone else has set it: then no command knows whose files it
// works with.
func CheckNamespace() error {
	_, err := oci.Entered()
	return err
}

// rootless returns who the user is, and nil for root. Before the user namespace is entered it doesn't know the ids.
func rootless() (*oci.Rootless, error) {
	r, err := oci.Entered()
	if uid := os.Geteuid(); r == nil && err == nil && uid != 0 {
		r = &oci.Rootless{UID: uid}
	}
	return r, err
}

// runtimeDirs are where a user's live runs have their state: the first is this session's, in a folder that only the user can
// have made. The session of a cron job has no XDG_RUNTIME_DIR (XDG base directory specification), so the other may have
// runs too.
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

// EnterNamespace executes this program again, with args, as root of a user namespace, for an ordinary user: images are unpacked
// and sandboxes are made with the user's subordinate ids. It returns if there is nothing to do, or with an error. vetted
// says which of the definitions that the program will read were checked before.
func EnterNamespace(args []string, vetted ownership.Vetted) error {
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
	return oci.Enter(shim, args, []string{"MAYFLY_HOME=" + dir, ownership.VettedEnv + "=" + string(vetted)})
}

// storeOptions returns the options of this user's image store.
func storeOptions() (image.Options, error) {
	r, err := rootless()
	if err != nil || r == nil {
		return image.Options{}, err
	}
	return image.Options{UserXattr: true, FirstID: 1}, nil
}

// Keeper returns the engine, which has the sandboxes that were kept.
func Keeper() (engine.Keeper, error) {
	e, err := embedded()
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Delegate lets a user make cgroups until the next boot, and returns their folders, also those that it made before an error.
func Delegate(uid int) (made []string, err error) { return oci.Delegate(uid) }

// probe says what this host can enforce, as a run of this user finds it. args are this program's.
func (h *Host) probe(args []string) ([]engine.Check, error) {
	unsupported := &engine.Unsupported{}
	err := EnterNamespace(args, "")
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
	return e.Probe(h.imageDir()), nil
}
