//go:build linux

package testbed

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// programs are the folders that the tests' programs are in.
var programs struct {
	sync.Mutex
	dirs []string
}

// OwnPrograms says that the programs in dir are the tests', too. No part of dir
// may be a symbolic link.
func OwnPrograms(dir string) {
	programs.Lock()
	defer programs.Unlock()
	programs.dirs = append(programs.dirs, dir)
}

// own says whether the program at path is one of the tests'.
func own(path, bin string) bool {
	programs.Lock()
	defer programs.Unlock()
	dir := filepath.Dir(path)
	return dir == bin || slices.Contains(programs.dirs, dir)
}

// foreign is what runs that aren't the tests' have.
type foreign struct {
	runs map[string]bool // ids
	pids map[string]bool // shims, and processes outside of every cgroup of a run
}

// foreignRuns looks for the shims that are other programs than the tests'.
func foreignRuns() (foreign, error) {
	f := foreign{map[string]bool{}, map[string]bool{}}
	bin, err := build()
	if err != nil {
		return f, err
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return f, err
	}
	ours := map[string]bool{}        // runs with a shim of the tests'
	members := map[string][]string{} // processes in a run's cgroup, by the run
	for _, dir := range dirs {
		pid := filepath.Base(dir)
		data, _ := os.ReadFile(filepath.Join(dir, "cgroup")) // it may have ended
		id := runOf(string(data))
		exe, _ := os.Readlink(filepath.Join(dir, "exe"))
		exe = strings.TrimSuffix(exe, " (deleted)")
		switch shim := filepath.Base(exe) == "mayfly-shim"; {
		case shim && own(exe, bin):
			ours[id] = true
		case id == "":
			f.pids[pid] = true
		case shim:
			f.runs[id] = true
			members[id] = append(members[id], pid)
		default:
			members[id] = append(members[id], pid)
		}
	}
	// A shim's child has a path of libcontainer's until it executes the tool.
	for id := range ours {
		delete(f.runs, id)
	}
	for id := range f.runs {
		for _, pid := range members[id] {
			f.pids[pid] = true
		}
	}
	return f, nil
}

// cgroupOfRun is in a line of /proc/PID/cgroup: a run's below mayfly or
// mayfly-UID, or with an id of mayfly's own in a user's scope; or its shim's.
var cgroupOfRun = regexp.MustCompile(`(?m)/(?:mayfly(?:-[0-9]+)?/([^/\n]+?)|([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}[^/\n]*?))(?:\.shim)?(?:/|$)`)

func runOf(cgroup string) string {
	if m := cgroupOfRun.FindStringSubmatch(cgroup); m != nil {
		return m[1] + m[2]
	}
	return ""
}

// have says whether one of the runs has what Leftovers found.
func (f foreign) have(what string) bool {
	kind, rest, _ := strings.Cut(what, " ")
	if kind == "process" {
		pid, _, _ := strings.Cut(rest, " ")
		return f.pids[pid]
	}
	for id := range f.runs {
		if strings.HasSuffix(rest, "/"+id) || strings.HasSuffix(rest, "/"+id+".shim") || strings.Contains(rest, "/"+id+"/") {
			return true
		}
	}
	return false
}
