//go:build linux

// Package startup tests what the start of a run takes: imports, time, network and memory.
package startup

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// heavy has packages that the command must not import: each costs milliseconds in every run, or megabytes of the download.
var heavy = []string{
	"gvisor.dev/gvisor", "github.com/opencontainers/runc", "github.com/seccomp",
	"k8s.io", "github.com/docker/docker", "google.golang.org/grpc", "github.com/containerd/containerd",
	"cel.dev/cel-go", "google.golang.org/protobuf", "database/sql", "modernc.org/sqlite", "go.opentelemetry.io",
	"github.com/mayfly-run/mayfly/internal/daemon", // mayfly executes mayflyd
}

func TestTheCommandImportsNothingHeavy(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/mayfly-run/mayfly/cmd/mayfly").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 100 {
		t.Fatalf("only %d packages: the list is wrong", len(deps))
	}
	for _, dep := range deps {
		for _, h := range heavy {
			// The module of UUIDs implements two interfaces of database/sql/driver, which is small.
			if (dep == h || strings.HasPrefix(dep, h+"/")) && dep != "database/sql/driver" {
				t.Errorf("cmd/mayfly imports %s", dep)
			}
		}
	}
}

// TestNothingLinksEveryMethod checks that mayfly has no text/template, which calls methods by their names: then the linker keeps
// every exported method of every type that is used, which makes the program 2 MB larger. (Cobra imports the package, but links it only
// if its templates are set.)
func TestNothingLinksEveryMethod(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(testbed.Bin(t), "mayfly"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("github.com/spf13/cobra.(*Command).ExecuteC")) {
		t.Fatal("the program has no names of functions: this test sees nothing")
	}
	if bytes.Contains(data, []byte("text/template.(*state)")) {
		t.Error("mayfly links text/template: see what calls it with go build -ldflags=-dumpdep")
	}
}

// TestTheCommandStartsLikeABareProgram compares mayfly version with a bare Go program, whose time is what any start costs on
// this machine.
func TestTheCommandStartsLikeABareProgram(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println() }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bare := filepath.Join(dir, "bare")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bare, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mayfly := filepath.Join(testbed.Bin(t), "mayfly")
	var own, theirs []time.Duration
	for i := 0; ; i++ { // in turn, so that a busy moment affects both
		own = append(own, timed(t, mayfly, "version"))
		theirs = append(theirs, timed(t, bare))
		// The bound is a ratio of figures of one run. The ratio is normally about 2.5. A busy machine gets more tries.
		a, b := median(own), median(theirs)
		if i >= 40 && a <= 6*b {
			return
		}
		if i == 400 {
			t.Fatalf("mayfly version takes %v, a bare program %v: more than 6 times as long", a, b)
		}
	}
}

func timed(tb testing.TB, name string, args ...string) time.Duration {
	tb.Helper()
	begin := time.Now()
	if err := exec.CommandContext(tb.Context(), name, args...).Run(); err != nil {
		tb.Fatal(err)
	}
	return time.Since(begin)
}

func median(list []time.Duration) time.Duration {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// TestAWarmRunIsOffline checks that a run whose image is in the store works without a network.
func TestAWarmRunIsOffline(t *testing.T) {
	path := prepare(t)
	if out, err := exec.CommandContext(t.Context(), "unshare", "--net", filepath.Join(testbed.Bin(t), "mayfly"), "run", "-q", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestALiveRun checks that the monitors of the Go runtimes of mayfly and of its shim wake rarely, and that the shim's heap is
// in huge pages, if the host lets programs ask for them.
func TestALiveRun(t *testing.T) {
	path := prepareTool(t, `["sh", "-c", "echo started; exec yes"]`)
	mayfly := exec.CommandContext(t.Context(), filepath.Join(testbed.Bin(t), "mayfly"), "run", "-q", path)
	stdout, err := mayfly.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := mayfly.Start(); err != nil {
		t.Fatal(err)
	}
	started, read := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := io.ReadFull(stdout, make([]byte, len("started")))
		started <- err
		_, err = io.Copy(io.Discard, stdout)
		read <- err
	}()
	defer func() {
		_ = mayfly.Process.Signal(os.Interrupt)
		if err := <-read; err != nil {
			t.Error(err)
		}
		_ = mayfly.Wait() // it was interrupted
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	shim := childOf(t, mayfly.Process.Pid)
	monitor := threads(t, mayfly.Process.Pid)[1] // the first thread that the runtime makes
	if got := timerSlack(t, monitor); got != "1000000" {
		t.Errorf("the monitor of mayfly has a timer slack of %s ns", got)
	}
	for i, thread := range threads(t, shim) {
		want := "50000"
		if i == 1 {
			want = "10000000"
		}
		if got := timerSlack(t, thread); got != want {
			t.Errorf("thread %d of the shim has a timer slack of %s ns, want %s", i, got, want)
		}
	}
	// Check that this thread is the monitor, the only one that naps while the program is busy.
	naps := 0
	for end := time.Now().Add(time.Minute); naps < 10 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		call, err := os.ReadFile("/proc/" + monitor + "/syscall")
		if err != nil {
			t.Fatal(err)
		}
		if number, _, _ := strings.Cut(string(call), " "); number == strconv.Itoa(syscall.SYS_NANOSLEEP) {
			naps++
		}
	}
	if naps < 10 { // other threads never nap; a low bound, since a busy machine leaves the monitor less time
		t.Errorf("the second thread of a busy mayfly was seen napping %d times in a minute, want at least 10", naps)
	}
	if setting, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err != nil || strings.Contains(string(setting), "[never]") {
		return // the kernel has no huge pages
	}
	usage, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", shim))
	if err != nil {
		t.Fatal(err)
	}
	var kB int
	for line := range strings.Lines(string(usage)) {
		if value, ok := strings.CutPrefix(line, "AnonHugePages:"); ok {
			if _, err := fmt.Sscan(value, &kB); err != nil {
				t.Fatal(err)
			}
		}
	}
	if kB < 2048 {
		t.Errorf("the shim has %d kB in huge pages:\n%s", kB, usage)
	}
}

// threads returns the ids of a process's threads, in the order in which they were made.
func threads(tb testing.TB, pid int) []string {
	tb.Helper()
	dir, err := os.Open(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		tb.Fatal(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(0)
	if err != nil || len(names) < 2 {
		tb.Fatal(names, err)
	}
	return names
}

func timerSlack(tb testing.TB, thread string) string {
	tb.Helper()
	slack, err := os.ReadFile("/proc/" + thread + "/timerslack_ns")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(slack))
}

// childOf returns a child of a process, whichever of its threads made the child.
func childOf(tb testing.TB, pid int) int {
	tb.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		tb.Fatal(err)
	}
	var child int
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			tb.Fatal(err)
		}
		if len(children) > 0 {
			if _, err := fmt.Sscan(string(children), &child); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if child == 0 {
		tb.Fatalf("process %d has no child", pid)
	}
	return child
}

// TestASmallToolStarts checks that a tool with little memory starts: its sandbox is made inside the tool's limits.
func TestASmallToolStarts(t *testing.T) {
	path := prepare(t)
	small := filepath.Join(filepath.Dir(path), "small.yaml")
	if err := os.WriteFile(small, []byte("name: small\nimage: busybox\ncommand: [\"true\"]\nresources: {memory: 4Mi}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(testbed.Bin(t), "mayfly"), "run", "-q", small).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// BenchmarkRun measures `mayfly run` of true: the whole process, with all features on.
func BenchmarkRun(b *testing.B) {
	path := prepare(b)
	mayfly := filepath.Join(testbed.Bin(b), "mayfly")
	for b.Loop() {
		timed(b, mayfly, "run", "-q", path)
	}
}

// prepare makes a store with busybox and a tool that does nothing, and returns the tool's path.
func prepare(tb testing.TB) string {
	tb.Helper()
	return prepareTool(tb, `["true"]`)
}

func prepareTool(tb testing.TB, command string) string {
	tb.Helper()
	home := tb.TempDir()
	tb.Setenv("MAYFLY_HOME", home)
	store, err := image.Open(filepath.Join(home, "images"), image.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	archive := imagetest.DockerArchive(tb, "busybox:latest", imagetest.Config{}, imagetest.BusyboxLayer(tb))
	if _, err := store.Load(tb.Context(), strings.NewReader(string(archive))); err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(home, "tool.yaml")
	if err := os.WriteFile(path, []byte("name: nothing\nimage: busybox\ncommand: "+command+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
