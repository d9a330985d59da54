//go:build unix

package drafts

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

func (r *rig) link(to, name string) {
	r.t.Helper()
	if err := os.Symlink(to, filepath.Join(r.dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) fifo(name string) {
	r.t.Helper()
	if err := syscall.Mkfifo(filepath.Join(r.dir, name), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// TestOdd has a folder with what isn't a file, and with links that lead out: nothing waits, and nothing outside is in a draft.
func TestOdd(t *testing.T) {
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "tool.yaml"), []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	r := open(t, map[string]string{"a/tool.yaml": plain, "a/b/x": "x", "c.yaml": "workflow: [{name: a, tool: ../x.yaml}]\n"})
	r.link(out, "out")
	r.link(filepath.Join(out, "tool.yaml"), "a/stolen")
	r.link("b/x", "a/inside")
	r.link("b", "a/folder")
	r.link("nowhere", "a/dangling")
	r.link(".", "a/loop")
	r.link("a/tool.yaml", "linked.yaml")
	r.fifo("a/pipe")
	r.fifo("pipe.yaml")
	r.link("/dev/zero", "a/zero")
	if got := r.list(); got != "a/tool.yaml:tool c.yaml:workflow" {
		t.Errorf("the drafts are %s", got)
	}
	d, files := r.get("a/tool.yaml")
	if !maps.Equal(files, map[string]string{"tool.yaml": plain, "b/x": "x", "inside": "x"}) || !strings.Contains(d.Problem, "is left out") {
		t.Errorf("%q, %s", files, d.Problem)
	}
	if d, _ := r.get("c.yaml"); d.Problem != "../x.yaml is left out: it is outside the folder" {
		t.Errorf("%s", d.Problem)
	}
	before := r.disk()
	for name, c := range map[string]struct{ path, want string }{
		"a link":         {"inside", "a/inside is a link"},
		"a link out":     {"stolen", "a/stolen is a link"},
		"through a link": {"folder/x", "a/folder is a link"},
		"a pipe":         {"pipe", "a/pipe already exists, and isn't a file"},
		"a folder":       {"b", "a/b already exists, and isn't a file"},
		"a hook":         {".git/hooks/post-checkout*", "is hidden"},

		"a folder of packages": {"node_modules/a", "is hidden, or in a folder of packages"},
		"a dangling link":      {"dangling", "a/dangling is a link"},
	} {
		t.Run(name, func(t *testing.T) {
			more := maps.Clone(files)
			more["tool.yaml"], more[c.path] = script, "changed"
			_, err := r.put("a/tool.yaml", "tool.yaml", more, &d.Tag)
			var p *api.Problem
			if !errors.As(err, &p) || p.Reason != run.CodeInvalidRequest || !strings.Contains(p.Detail, c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if got := r.disk(); !maps.Equal(got, before) {
				t.Errorf("there is %q", slices.Sorted(maps.Keys(got)))
			}
		})
	}
	for _, name := range []string{"../x.yaml", "/etc/x.yaml", "out/x.yaml", "a/folder/x.yaml", "linked.yaml", "pipe.yaml", "x", "a/../x.yaml", "x_test.yaml", "x.yml/", strings.Repeat("d/", deepest+1) + "x.yaml", ".github/x.yaml"} {
		if _, err := r.put(name, filepath.Base(name), map[string]string{filepath.Base(name): "x"}, nil); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := r.disk(); !maps.Equal(got, before) {
		t.Errorf("at the end there is %q", got)
	}
	// A link in the draft is removed itself, and not where it leads to.
	delete(files, "inside")
	if _, err := r.put("a/tool.yaml", "tool.yaml", files, nil); err != nil {
		t.Fatal(err)
	}
	delete(before, "a/inside")
	if got := r.disk(); !maps.Equal(got, before) {
		t.Errorf("without the link there is %q", got)
	}
}

// TestNoOwn has a folder that can't be read, and one that can't be written. Root may do both, so it has another user run the test.
func TestNoOwn(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	r := open(t, map[string]string{"a/tool.yaml": plain, "b/tool.yaml": plain})
	for dir, mode := range map[string]os.FileMode{"a": 0, "b": 0o500} {
		dir = filepath.Join(r.dir, dir)
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	}
	all, omitted, err := r.Drafts(t.Context(), "default")
	if err != nil || len(all) != 1 || len(omitted) != 1 || omitted[0] != "the folder a can't be read: permission denied" {
		t.Errorf("%+v, %q, %v", all, omitted, err)
	}
	if _, err := r.put("b/tool.yaml", "tool.yaml", map[string]string{"tool.yaml": script}, nil); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%v", err)
	}
}

// asNobody runs the test again as a user without rights, in a folder of that user.
func asNobody(t *testing.T) {
	t.Helper()
	const nobody = 65534
	dir, err := os.MkdirTemp("", "nobody-") // t.TempDir is in a folder that only root may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "test")
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(program, data, 0o755), os.Chown(dir, nobody, nobody)); err != nil { //nolint:gosec // another user executes it
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
	c.Dir, c.Env = dir, append(os.Environ(), "TMPDIR="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

// TestOwner has root edit another user's file, which stays that one's, with its mode; except for ids that mean nobody.
func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give a file to another user (chown(2))")
	}
	r := open(t, map[string]string{"tool.yaml": plain})
	file := filepath.Join(r.dir, "tool.yaml")
	for want, owner := range map[[2]uint32][2]int{{1234, 1235}: {1234, 1235}, {0, 0}: {unmapped, unmapped}} {
		if err := errors.Join(os.WriteFile(file, []byte(plain), 0o600), os.Chown(file, owner[0], owner[1]), os.Chmod(file, 0o640)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.put("tool.yaml", "tool.yaml", map[string]string{"tool.yaml*": script}, nil); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if is, ok := info.Sys().(*syscall.Stat_t); !ok || is.Uid != want[0] || is.Gid != want[1] || info.Mode() != 0o750 {
			t.Errorf("of %v, the owner is %d:%d and the mode %s", owner, is.Uid, is.Gid, info.Mode())
		}
	}
}

// TestFull makes one draft more than there may be.
func TestFull(t *testing.T) {
	r := open(t, map[string]string{"a.yaml": plain})
	for i := range store.MostDrafts - 1 {
		r.edit(fmt.Sprintf("%d.yaml", i), plain)
	}
	if _, err := r.put("b/more.yaml", "more.yaml", map[string]string{"more.yaml": plain}, nil); !errors.Is(err, store.ErrTooManyDrafts) {
		t.Errorf("%v", err)
	}
	if _, err := r.put("a.yaml", "a.yaml", map[string]string{"a.yaml": script}, nil); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}

// TestMuch has more than the bounds allow.
func TestMuch(t *testing.T) {
	r := open(t, map[string]string{"tool.yaml": plain, strings.Repeat("d/", deepest+1) + "tool.yaml": plain})
	large := filepath.Join(r.dir, "large")
	if err := errors.Join(os.WriteFile(large, nil, 0o600), os.Truncate(large, api.MostBundleBytes+1)); err != nil {
		t.Fatal(err)
	}
	all, omitted, err := r.Drafts(t.Context(), "default")
	if err != nil || len(all) != 1 || !strings.Contains(strings.Join(omitted, " "), "more than 16 folders deep") || all[0].Problem == "" {
		t.Errorf("%+v, %q, %v", all, omitted, err)
	}
	if d, files := r.get("tool.yaml"); len(files) != 1 || d.Problem == "" {
		t.Errorf("%+v", d)
	}
	for i := range mostEntries {
		if i%1000 == 0 {
			r.edit(filepath.Join("many", string(rune('a'+i/1000)), "first"), "")
		}
		if err := os.Symlink("x", filepath.Join(r.dir, "many", string(rune('a'+i/1000)), "l"+strings.Repeat("x", i%1000/100)+string(rune('a'+i%10))+strings.Repeat("y", i%100/10))); err != nil {
			t.Fatal(err)
		}
	}
	if _, omitted, err := r.Drafts(t.Context(), "default"); err != nil || !strings.Contains(strings.Join(omitted, " "), "more than 20000 files and folders") {
		t.Errorf("%q, %v", omitted, err)
	}
}
