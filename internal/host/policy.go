package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mayfly-run/mayfly/internal/policy"
)

// policyVariable names a policy instead of the host's, for tests and for a user's own. It isn't a hole: whoever can set it can
// also run another program.
const policyVariable = "MAYFLY_POLICY"

// loadPolicy reads the operator's policy; it is nil on a host without one. A policy that someone names must exist: without it
// runs would be allowed more than was meant.
func loadPolicy() (*policy.Policy, error) {
	path := os.Getenv(policyVariable)
	if path == "" {
		return policy.Find(policy.DefaultPath)
	}
	p, err := policy.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w; correct the path, or unset the variable to use the host's policy; to have no limits, name an empty file", policyVariable, err)
	}
	return p, err
}
