//go:build linux

package testbed

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Leftovers lists what sandboxes have on this host just now: processes, mounts,
// network namespaces that only they have, cgroups and directories. What has a
// shim of other programs than the tests' (another checkout's, or a user's who
// works here) isn't listed; what has no shim any more is. A process of another
// namespace is listed when a cgroup of a run has it, or when it is the tests' own
// shim.
func Leftovers() (map[string]bool, error) {
	before, err := foreignRuns()
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, look := range []func(map[string]bool) error{processes, mounts, cgroups, directories} {
		if err := look(found); err != nil {
			return nil, err
		}
	}
	after, err := foreignRuns() // those that have begun meanwhile
	for what := range found {
		if before.have(what) || after.have(what) {
			delete(found, what)
		}
	}
	return found, err
}

// processes finds shims, holders, and whatever lives in another pid or network
// namespace than this process.
func processes(found map[string]bool) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	own := map[string]string{}
	for _, ns := range []string{"pid", "net"} {
		if own[ns], err = os.Readlink("/proc/self/ns/" + ns); err != nil {
			return err
		}
	}
	for _, e := range entries {
		pid := e.Name()
		if pid[0] < '0' || pid[0] > '9' {
			continue
		}
		dir := filepath.Join("/proc", pid)
		command, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(command) == 0 {
			continue // it ended, or is the kernel's
		}
		name, _, _ := strings.Cut(string(command), "\x00")
		what := "process " + pid + " " + strings.ReplaceAll(strings.TrimRight(string(command), "\x00"), "\x00", " ")
		if base := filepath.Base(name); base == "mayfly-shim" || base == "mayfly-init" || base == "mayfly-wait" || strings.HasPrefix(base, "runsc") {
			found[what] = true
		}
		for ns, mine := range own {
			if theirs, err := os.Readlink(filepath.Join(dir, "ns", ns)); err == nil && theirs != mine {
				found[what+" in "+theirs] = true
			}
		}
	}
	return nil
}

func mounts(found map[string]bool) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "mayfly") {
			found["mount "+lines.Text()] = true
		}
	}
	return lines.Err()
}

func cgroups(found map[string]bool) error {
	for _, pattern := range []string{"/sys/fs/cgroup/mayfly*/*", "/sys/fs/cgroup/*/mayfly*/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, p := range paths {
			if info, err := os.Stat(p); err == nil && info.IsDir() {
				found["cgroup "+p] = true
			}
		}
	}
	return nil
}

func directories(found map[string]bool) error {
	sockets, err := filepath.Glob(filepath.Join(os.TempDir(), "mayfly-tmp-*"))
	if err != nil {
		return err
	}
	for _, dir := range sockets {
		found["directory "+dir] = true
	}
	for _, pattern := range []string{"/run/mayfly/runs", "/tmp/mayfly-*/runs", "/run/user/*/mayfly/runs", "/home/*/mayfly-home/run/runs"} {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			entries, err := os.ReadDir(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			for _, e := range entries {
				found["directory "+filepath.Join(dir, e.Name())] = true
			}
		}
	}
	return nil
}

// awaitShims gives the shims of a mayfly that died the time to clean up; when
// they have ended, everything has to be gone.
func awaitShims(before map[string]bool) {
	for end := time.Now().Add(Patience); time.Now().Before(end); {
		found, busy := map[string]bool{}, false
		if processes(found) != nil {
			return // Leftovers reports it
		}
		for what := range found {
			busy = busy || !before[what] && strings.Contains(what, "mayfly-shim")
		}
		if !busy {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// lastingDescriptors adds what this process has open and keeps open. A client's
// connection is closed only after its server's end was noticed.
func lastingDescriptors(before, after map[string]bool) error {
	for end := time.Now().Add(Patience); time.Now().Before(end); {
		found := map[string]bool{}
		if err := descriptors(found); err != nil {
			return err
		}
		lasting := false
		for what := range found {
			lasting = lasting || !before[what]
		}
		if !lasting {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return descriptors(after)
}

// descriptors finds what this process has open, except for what Go's runtime
// keeps: its poller, and the descriptor that lists them.
func descriptors(found map[string]bool) error {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil || target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]" {
			continue // closed meanwhile: it was the list's own
		}
		found["descriptor "+e.Name()+" of this process, "+target] = true
	}
	return nil
}
