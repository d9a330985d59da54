//go:build linux

package security

import (
	"cmp"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// decisions returns the rows of a table in docs/KERNEL-SURFACE.md: for each name in the first column, or in the first two, the
// text in the column after them.
func decisions(t *testing.T, heading string, columns int) map[string]string {
	t.Helper()
	_, section, found := strings.Cut(page(t), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	out := map[string]string{}
	body := false
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if strings.HasPrefix(line, "|-") {
			body = true
			continue
		}
		if !body || !strings.HasPrefix(line, "|") || len(cells) < columns+2 {
			continue
		}
		names := rowNames(t, cells[:columns])
		for _, name := range names {
			if out[name] != "" {
				t.Errorf("%s: %s is there twice", heading, name)
			}
			out[name] = strings.TrimSpace(cells[columns])
		}
	}
	return out
}

// rowNames returns the names of a row: those in its first cell, or each of them combined with each name in the second cell.
func rowNames(t *testing.T, cells []string) (names []string) {
	t.Helper()
	names = []string{""}
	for _, cell := range cells {
		var all []string
		for _, name := range strings.Fields(cell) {
			for _, n := range spanned(t, name) {
				for _, before := range names {
					all = append(all, strings.TrimPrefix(before+" "+n, " "))
				}
			}
		}
		names = all
	}
	return names
}

// spanned returns a name itself, or the numbers of a span such as 9-25 or 0x8980-0x89ff.
func spanned(t *testing.T, name string) []string {
	t.Helper()
	from, to, _ := strings.Cut(name, "-")
	first, err := strconv.ParseInt(from, 0, 32)
	if err != nil {
		return []string{name}
	}
	last, err := strconv.ParseInt(cmp.Or(to, from), 0, 32)
	if err != nil {
		return []string{name}
	}
	var out []string
	for n := first; n <= last; n++ {
		out = append(out, strconv.FormatInt(n, 10))
	}
	return out
}

// systemCalls returns the system calls that golang.org/x/sys has for this processor: their numbers by their names.
func systemCalls(t *testing.T) map[string]string {
	t.Helper()
	const name = "zsysnum_linux_" + runtime.GOARCH + ".go"
	at := filepath.Join(os.Getenv(testbed.ProgramsEnv), name) // for a machine without Go
	if os.Getenv(testbed.ProgramsEnv) == "" {
		list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys")
		list.Dir = testbed.Root()
		dir, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		at = filepath.Join(strings.TrimSpace(string(dir)), "unix", name)
	}
	source, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s+SYS_(\w+)\s+= (\d+)$`).FindAllStringSubmatch(string(source), -1) {
		numbers[strings.ToLower(m[1])] = m[2]
	}
	if len(numbers) < 300 {
		t.Fatalf("only %d system calls", len(numbers))
	}
	return numbers
}

// natural has calls with invalid arguments that the kernel itself refuses to a process without capabilities, or that it lacks on
// some processors and in some versions, with their errors.
var natural = map[string]string{
	"setgroups": "EPERM", "set_thread_area": "ENOSYS", "get_thread_area": "ENOSYS", "epoll_ctl_old": "ENOSYS", "epoll_wait_old": "ENOSYS",
	"uretprobe": "ENOSYS", "futex": "ENOSYS",
}

// newer has calls that libseccomp 2.5.4 or an older kernel doesn't know. They give ENOSYS then, whatever was decided.
var newer = []string{
	"mseal", "map_shadow_stack", "futex_wake", "futex_wait", "futex_requeue", "fchmodat2", "getxattrat", "listxattrat", "removexattrat",
	"setxattrat", "statmount", "listmount", "cachestat", "uretprobe", "uprobe", "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules",
	"open_tree_attr", "file_getattr", "file_setattr", "listns", "rseq_slice_yield",
}

// unfiltered has calls that a newer kernel allows without asking a filter. An older kernel lacks them, but asks the filter.
var unfiltered = []string{"uretprobe", "uprobe"}

// unmade has calls that would end or block the attacker itself.
var unmade = []string{"exit", "exit_group", "fork", "vfork", "clone", "rt_sigreturn", "restart_syscall", "kill", "tkill", "tgkill"}

// TestI24_SystemCalls makes every system call in a sandbox, with invalid arguments. A call whose arguments decide is refused
// because of them, by the profile or by the kernel.
func TestI24_SystemCalls(t *testing.T) { systemCallsAsDecided(t, embeddedBox(t).attack) }

// attack runs the attacker in a sandbox and returns the outcome of each attempt.
type attack func(args ...string) map[string]string

func systemCallsAsDecided(t *testing.T, try attack) {
	t.Helper()
	numbers, decided := systemCalls(t), decisions(t, "System calls", 1)
	names := map[string]string{}
	args := []string{"surface"}
	for name, number := range numbers {
		switch {
		case decided[name] == "":
			t.Logf("a newer kernel's: %s (%s)", name, number)
		case slices.Contains(unmade, name):
		default:
			names[number] = name
			args = append(args, number)
		}
	}
	for name := range decided {
		if numbers[name] == "" {
			t.Errorf("%s is in the list and isn't a system call", name)
		}
	}
	got := try(args...)
	for number, name := range names {
		outcome, want := got[number], decided[name]
		refused := outcome == "EPERM" || outcome == "ENOSYS"
		switch {
		case outcome == natural[name] && outcome != "", slices.Contains(newer, name) && outcome == "ENOSYS":
		case want == "allowed" && !refused:
		case slices.Contains(unfiltered, name) && outcome == "EPERM":
		case want == "by argument":
		case want == "succeeds" && outcome == "done":
		case want == outcome:
		case want == "EPERM" && outcome == "ENOSYS": // the kernel lacks the call
		default:
			t.Errorf("%s (%s) is %q and should be %q", name, number, outcome, want)
		}
	}
}

// TestI24_Options calls setsockopt(2), prctl(2) and others with every option and with invalid arguments, so that an allowed
// option fails in the kernel.
func TestI24_Options(t *testing.T) { optionsAsDecided(t, embeddedBox(t).attack) }

func optionsAsDecided(t *testing.T, try attack) {
	t.Helper()
	check := func(t *testing.T, decided, got map[string]string) {
		t.Helper()
		for option, outcome := range got {
			want := decided[option]
			switch {
			case want == "allowed" && outcome != "EPERM" && (outcome != "done" || decided["0"] != ""): // some options of prctl succeed
			case want == "succeeds" && outcome == "done":
			case want == outcome:
			default:
				t.Errorf("option %s is %q and should be %q", option, outcome, want)
			}
		}
		for option := range decided {
			if got[option] == "" {
				t.Errorf("option %s wasn't tried", option)
			}
		}
	}
	t.Run("setsockopt", func(t *testing.T) {
		check(t, decisions(t, "Sockets", 2), try("surface", "setsockopt", "0", "1", "6", "17", "41", "58", "132", "136", "255", "263", "270", "271", "282", "284", "285"))
	})
	// The descriptor is -1, so an option that the profile allows gives EBADF.
	for heading, call := range map[string]string{"Devices and their ioctls": "ioctl", "fcntl": "fcntl", "getsockopt": "getsockopt"} {
		t.Run(call, func(t *testing.T) {
			columns := 1
			if call == "getsockopt" {
				columns = 2
			}
			got, decided := try("surface", call), decisions(t, heading, columns)
			for option, outcome := range got {
				if outcome == "EBADF" {
					got[option] = "allowed"
				}
			}
			if maps.Equal(got, decided) {
				return
			}
			for option := range decided {
				if got[option] != decided[option] {
					t.Errorf("%s is %q and should be %q", option, got[option], decided[option])
				}
			}
			if len(got) > len(decided) {
				t.Errorf("%d were tried, and %d are decided on", len(got), len(decided))
			}
		})
	}
	t.Run("prctl", func(t *testing.T) {
		got := try("surface", "prctl")
		// PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_MM and the two options of IO_FLUSHER need a capability.
		for _, option := range []string{"24", "28", "35", "57", "58"} {
			if got[option] == "EPERM" {
				got[option] = "EINVAL"
			}
		}
		check(t, decisions(t, "prctl", 1), got)
	})
}

// TestI24_Files opens every file of /proc and /sys, except those of processes, for reading and for writing.
func TestI24_Files(t *testing.T) {
	b := embeddedBox(t)
	filesAsDecided(t, b.attack("files", "/proc", "/sys"))
	empty := 0
	for _, dirs := range regexp.MustCompile(`(?s)Empty are (.*?)\. `).FindAllStringSubmatch(page(t), -1) {
		for _, path := range regexp.MustCompile(`/sys/[\w/]+`).FindAllString(dirs[1], -1) {
			empty++
			if r := b.run(b.shell("ls -A "+path+" 2>/dev/null | wc -l"), nil); r.stdout != "0\n" {
				t.Errorf("%s: %+v", path, r)
			}
		}
	}
	if empty == 0 {
		t.Error("the page names no empty folder of /sys")
	}
}

// filesAsDecided compares the outcomes of opening all files with the page.
func filesAsDecided(t *testing.T, outcomes map[string]string) {
	t.Helper()
	decided := decisions(t, "Files of /proc", 1)
	seen := 0
	for what, outcome := range outcomes {
		action, path, _ := strings.Cut(what, " ")
		if action == "write" {
			t.Errorf("%s can be opened for writing", path)
			continue
		}
		rest, ok := strings.CutPrefix(path, "/proc/")
		if !ok || action != "read" {
			continue
		}
		seen++
		name, _, _ := strings.Cut(rest, "/")
		switch want := decided[name]; {
		case want == "":
			t.Logf("a newer kernel's: %s", path)
		case want == "empty" && (outcome == "empty" || refused(outcome)):
		case want == "readable":
		case want == outcome, want == "EACCES" && refused(outcome):
		default:
			t.Errorf("%s is %q and should be %q", path, outcome, want)
		}
	}
	if seen < 20 {
		t.Errorf("it saw only %d files of /proc", seen)
	}
}

// TestI24_FilesThatChange checks that all files that change while neighbours start, end and use the kernel are on the list. A
// file that one run changes and another can read is a channel between them.
func TestI24_FilesThatChange(t *testing.T) {
	b := embeddedBox(t)
	listed := slices.Collect(maps.Keys(decisions(t, "Files that change", 1)))
	reader, line := io.Pipe()
	watch, err := b.start(b.spec("attacker", "changes", "/proc", "/proc/self/net/", "/sys"), nil, reader)
	if err != nil {
		t.Fatal(err)
	}
	watch.stdout.until(t, "ready")
	stirring, end := io.Pipe()
	stir, err := b.start(b.spec("attacker", "stir"), nil, stirring)
	if err != nil {
		t.Fatal(err)
	}
	stir.stdout.until(t, "stirring")
	b.run(b.spec("attacker", "nothing"), nil)
	if _, err := io.WriteString(line, "again\n"); err != nil {
		t.Error(err)
	}
	r, err := watch.wait()
	if err != nil {
		t.Fatal(err)
	}
	_ = end.Close()
	if _, err := stir.wait(); err != nil {
		t.Error(err)
	}
	changed := 0
	for path, outcome := range r.lines() {
		if outcome != "changed" {
			continue
		}
		changed++
		if !slices.ContainsFunc(listed, func(pattern string) bool {
			ok, err := filepath.Match(pattern, path)
			return err == nil && ok || strings.HasSuffix(pattern, "/") && strings.HasPrefix(path, pattern)
		}) {
			t.Errorf("%s changes", path)
		}
	}
	t.Logf("%s files, %d changed", r.lines()["files"], changed)
	if changed < 3 {
		t.Errorf("only %d files changed: nothing was seen", changed)
	}
}

// page returns the text of docs/KERNEL-SURFACE.md.
func page(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testbed.Root(), "docs", "KERNEL-SURFACE.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
