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

// Leftovers lists what sandboxes have on this host at the moment: processes, mounts, network namespaces that only they have,
// cgroups and directories. It leaves out runs whose shim is another program than the tests', such as that of another
// checkout or of a user of this machine. It lists runs that no longer have a shim. A process in another namespace is listed
// only if it is in the cgroup of a run, or is one of the tests' own shims.
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
	after, err := foreignRuns() // including those that have begun meanwhile
	for what := range found {
		if before.have(what) || after.have(what) {
			delete(found, what)
		}
	}
	return found, err
}

// processes finds shims, holders, gVisor's processes, and every process in another pid or network namespace than this one.
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
			continue // the process has ended, or is a kernel thread
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

// awaitShims waits until the shims of a mayfly that died have cleaned up and ended. After that nothing may be left.
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

// lastingDescriptors adds the descriptors that this process keeps open to after. It waits for those that are still to be
// closed: a client closes its connection only after it has noticed the end of the server.
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

// descriptors finds what this process has open, except for the poller of Go's runtime and the descriptor that lists them.
func descriptors(found map[string]bool) error {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil || target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]" {
			continue // the descriptor of the list itself is closed by now
		}
		found["descriptor "+e.Name()+" of this process, "+target] = true
	}
	return nil
}
