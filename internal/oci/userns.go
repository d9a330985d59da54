//go:build linux

package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/mayfly-run/mayfly/internal/engine"
	subid "github.com/moby/sys/user"
)

// minSubordinateIDs is the number of ids that a sandbox needs: images use ids up
// to 65534, "nobody".
const minSubordinateIDs = 1 << 16

// idRange is a range of subordinate ids of the host.
type idRange struct{ first, count int }

// subordinates are the ranges for user and group ids.
type subordinates struct{ users, groups idRange }

// subordinateIDs returns the largest ranges that /etc/subuid and /etc/subgid give a user.
func subordinateIDs(uid int) (subordinates, error) {
	var s subordinates
	name := strconv.Itoa(uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	for _, f := range []struct {
		path string
		into *idRange
	}{{subuidFile, &s.users}, {subgidFile, &s.groups}} {
		ranges, err := subid.ParseSubIDFileFilter(f.path, func(r subid.SubID) bool {
			return r.Name == name || r.Name == strconv.Itoa(uid)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
		for _, r := range ranges {
			if int(r.Count) > f.into.count {
				*f.into = idRange{first: int(r.SubID), count: int(r.Count)}
			}
		}
		if f.into.count < minSubordinateIDs {
			flags, err := subordinateFlags()
			return s, errors.Join(&engine.Unsupported{
				Feature: "rootless run",
				Why:     fmt.Sprintf("%s gives user %s %d subordinate ids, and a sandbox needs %d", f.path, name, f.into.count, minSubordinateIDs),
				Remedy:  "as root: usermod " + flags + " " + name,
			}, err)
		}
	}
	return s, nil
}

const (
	subuidFile = "/etc/subuid"
	subgidFile = "/etc/subgid"
)

// subordinateFlags returns the flags of usermod(8) that give a user ids which no
// other user has. It can't exclude ids in a file that can't be read, and returns
// that error too.
func subordinateFlags() (string, error) {
	var taken []idRange
	var errs []error
	for _, file := range []string{subuidFile, subgidFile} {
		ranges, err := subid.ParseSubIDFile(file)
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, r := range ranges {
			taken = append(taken, idRange{int(r.SubID), int(r.Count)})
		}
	}
	first := freeIDs(taken)
	ids := fmt.Sprintf("%d-%d", first, first+minSubordinateIDs-1)
	return "--add-subuids " + ids + " --add-subgids " + ids, errors.Join(errs...)
}

// freeIDs returns the first of minSubordinateIDs ids that are in none of the
// ranges. It starts where useradd(8) does.
func freeIDs(taken []idRange) int {
	slices.SortFunc(taken, func(a, b idRange) int { return a.first - b.first })
	first := 100_000
	for _, r := range taken {
		if r.first < first+minSubordinateIDs && r.first+r.count > first {
			first = r.first + r.count
		}
	}
	return first
}

// Enter executes this program again as root of its own user namespace, with the
// user's subordinate ids, through mayfly-shim. On cgroup v2 it first enters one
// of the user's cgroups. It returns only with an error. env is added to the
// environment.
func Enter(shim string, args []string, env []string) error {
	ids, err := subordinateIDs(os.Geteuid())
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cgroup, err := enterScope(self, args, env)
	if err != nil {
		return err
	}
	argv := []string{"mayfly-userns"}
	for _, m := range []struct {
		program string
		own     int
		ids     idRange
	}{{"newuidmap", os.Geteuid(), ids.users}, {"newgidmap", os.Getegid(), ids.groups}} {
		path, err := exec.LookPath(m.program)
		if err != nil {
			return &engine.Unsupported{Feature: "rootless run", Why: m.program + " is not installed", Remedy: "as root: apt-get install uidmap"}
		}
		if path, err = filepath.Abs(path); err != nil {
			return err
		}
		list := []string{path, "PID", "0", strconv.Itoa(m.own), "1", "1", strconv.Itoa(m.ids.first), strconv.Itoa(m.ids.count)}
		argv = append(append(argv, strconv.Itoa(len(list))), list...)
	}
	argv = append(append(argv, self), args...)
	count := min(ids.users.count, ids.groups.count)
	// If a name is in the list twice, os.Getenv and getenv(3) return the first value.
	env = slices.Concat(env, []string{rootlessEnv + "=" + fmt.Sprintf("%d:%d:%s", os.Geteuid(), count, cgroup)}, os.Environ())
	if err := syscall.Exec(shim, argv, env); err != nil {
		return fmt.Errorf("start %s: %w", shim, err)
	}
	return nil
}

// rootlessEnv is the variable in which Enter passes a Rootless to the program
// that it executes: "UID:IDCOUNT:CGROUP".
const rootlessEnv = "MAYFLY_ROOTLESS"

// Entered returns the Rootless that Enter passed on, or nil if Enter didn't start
// this process. It refuses a variable that was set by anyone else: root's runs
// would have ids of other users, and no limits of their own.
func Entered() (*Rootless, error) {
	value, set := os.LookupEnv(rootlessEnv)
	if !set {
		return nil, nil
	}
	uidMap, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return nil, fmt.Errorf("look at this process's user namespace: %w", err)
	}
	r := entered(value, string(uidMap))
	if r == nil {
		return nil, fmt.Errorf("the variable %s is set to %.80q, but this process isn't in the user namespace that mayfly makes for an ordinary user; mayfly sets the variable only for itself: unset it (unset %s)", rootlessEnv, value, rootlessEnv)
	}
	return r, nil
}

// entered parses the variable. It returns nil unless uidMap (user_namespaces(7))
// is the map that Enter makes for that value: id 0 is the user, and the next ids
// are the user's subordinate ids.
func entered(value, uidMap string) *Rootless {
	fields := strings.SplitN(value, ":", 3)
	if len(fields) != 3 {
		return nil
	}
	r := &Rootless{Cgroup: fields[2]}
	var err1, err2 error
	r.UID, err1 = strconv.Atoi(fields[0])
	r.IDCount, err2 = strconv.Atoi(fields[1])
	lines := strings.Split(strings.TrimSpace(uidMap), "\n")
	if err1 != nil || err2 != nil || r.IDCount <= 0 || len(lines) != 2 {
		return nil
	}
	own, subordinate := strings.Fields(lines[0]), strings.Fields(lines[1])
	if !slices.Equal(own, []string{"0", fields[0], "1"}) || len(subordinate) != 3 || subordinate[0] != "1" {
		return nil
	}
	if count, err := strconv.Atoi(subordinate[2]); err != nil || count < r.IDCount {
		return nil
	}
	return r
}
