package cli

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/mayfly-run/mayfly/internal/host"
)

// delegateCgroups lets a user, given by name or number, make cgroups.
func delegateCgroups(s streams, name string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("only root can delegate cgroups; run as root: mayfly doctor --delegate %s", name)
	}
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
		return &usageError{command: "mayfly doctor", err: errors.New("--delegate is for an ordinary user; root's runs have limits without it")}
	}
	made, err := host.Delegate(uid)
	for _, dir := range made {
		fmt.Fprintln(s.out, dir)
	}
	if err == nil {
		fmt.Fprintf(s.err, delegated, u.Username)
	}
	return err
}

// delegated says what else a user can do with its own cgroups (cgroups(7), "Delegation"; on version 1, moving a process needs no
// right on the cgroup that it leaves).
const delegated = `mayfly: besides Mayfly's runs, %s can now do this in these folders:
  - move its own processes there, including setuid programs that it has started: the limits of the cgroups
    that they were in, such as a session's, no longer apply to them;
  - make any number of cgroups below, each of which uses kernel memory, and limit and freeze what is in them.
It can't change the limits of the folders themselves: set those as root, to bound all of it. It can neither
allow devices nor move other users' processes. rmdir on these folders undoes it, and so does a reboot.
`
