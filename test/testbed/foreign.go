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

// programs has the folders of the tests' programs, besides that of build.
var programs struct {
	sync.Mutex
	dirs []string
}

// OwnPrograms adds the programs in dir to those of the tests. No part of dir may be a symbolic link.
func OwnPrograms(dir string) {
	programs.Lock()
	defer programs.Unlock()
	programs.dirs = append(programs.dirs, dir)
}

// own reports whether the program at path belongs to the tests. bin is the folder of the built programs.
func own(path, bin string) bool {
	programs.Lock()
	defer programs.Unlock()
	dir := filepath.Dir(path)
	return dir == bin || slices.Contains(programs.dirs, dir)
}

// foreign is what the runs of other programs than the tests' have.
type foreign struct {
	runs map[string]bool // ids
	pids map[string]bool // processes in their cgroups, and all processes outside the cgroups of runs except the tests' own shims
}

// foreignRuns finds the runs whose shims are other programs than the tests'.
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
	ours := map[string]bool{}        // ids of runs with one of the tests' shims
	members := map[string][]string{} // processes in the cgroup of a run, by the id of the run
	for _, dir := range dirs {
		pid := filepath.Base(dir)
		data, _ := os.ReadFile(filepath.Join(dir, "cgroup")) // the process may have ended
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
	// Until it executes the tool, a child of a shim has a path of libcontainer's, which isn't the tests' program.
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

// cgroupOfRun matches the cgroup of a run in a line of /proc/PID/cgroup: below mayfly or mayfly-UID, or in a user's scope
// with an id that mayfly made. It also matches the cgroup of the run's shim, ID.shim.
var cgroupOfRun = regexp.MustCompile(`(?m)/(?:mayfly(?:-[0-9]+)?/([^/\n]+?)|([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}[^/\n]*?))(?:\.shim)?(?:/|$)`)

func runOf(cgroup string) string {
	if m := cgroupOfRun.FindStringSubmatch(cgroup); m != nil {
		return m[1] + m[2]
	}
	return ""
}

// have reports whether one of the runs has what Leftovers found.
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
