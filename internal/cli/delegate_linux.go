package cli

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"

	"github.com/mayfly-run/mayfly/internal/oci"
)

// delegateCgroups hands cgroups to a user, given by name or number.
func delegateCgroups(s streams, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return fmt.Errorf("there is no user %q", name)
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	if uid == 0 {
		return &usageError{command: "mayfly doctor", err: errors.New("--delegate is for an ordinary user; root's runs have their limits without it")}
	}
	made, err := oci.Delegate(uid)
	for _, dir := range made {
		fmt.Fprintln(s.out, dir)
	}
	return err
}
