package drafts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/store"
)

// rig is the drafts of a folder, and what a server does with them.
type rig struct {
	*Folder
	t       *testing.T
	dir     string
	archive archive.Contents
	sent    sent
}

// sent has the contents that were noted as sent, by their digests.
type sent map[string]bool

func (s sent) AddContents(_ context.Context, project string, digests []string) error {
	for _, digest := range digests {
		s[project+" "+digest] = true
	}
	return nil
}

func (s sent) Contents(_ context.Context, project string, digests []string) (map[string]bool, error) {
	has := map[string]bool{}
	for _, digest := range digests {
		has[digest] = s[project+" "+digest]
	}
	return has, nil
}

func (s sent) ForgetContent(context.Context, string) error { panic("not used") }

// open makes a folder with these files. A name that ends in * is an executable file.
func open(t *testing.T, files map[string]string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), archive: archive.Contents{In: archive.Dir(t.TempDir())}, sent: sent{}}
	for name, text := range files {
		r.edit(name, text)
	}
	f, err := Open(r.dir, "default", r.archive, r.sent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	r.Folder = f
	return r
}

// edit writes a file as another program does.
func (r *rig) edit(name, text string) {
	r.t.Helper()
	name, executable := strings.CutSuffix(name, "*")
	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	file := filepath.Join(r.dir, name)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(text), mode)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// list is the drafts, each with its kind.
func (r *rig) list() string {
	r.t.Helper()
	all, _, err := r.Drafts(r.t.Context(), "default")
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, d := range all {
		names = append(names, d.Name+":"+d.Kind)
	}
	return strings.Join(names, " ")
}

func (r *rig) get(name string) (store.Draft, map[string]string) {
	r.t.Helper()
	d, err := r.Draft(r.t.Context(), "default", name)
	if err != nil {
		r.t.Fatal(err)
	}
	return d, r.files(d)
}

// files are the contents of a draft's files, as the archive has them, by their paths. That of an executable one ends with *.
func (r *rig) files(d store.Draft) map[string]string {
	r.t.Helper()
	b := bundleOf(r.t, d)
	all := map[string]string{}
	for _, one := range b.Files {
		if !r.sent["default "+one.Digest] {
			r.t.Errorf("the content of %s isn't noted as sent", one.Path)
		}
		in, size, err := r.archive.Open(r.t.Context(), one.Digest)
		if err != nil {
			r.t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err = errors.Join(err, in.Close()); err != nil || size != one.Size {
			r.t.Fatalf("%s: %d bytes, %v", one.Path, size, err)
		}
		if one.Executable {
			one.Path += "*"
		}
		all[one.Path] = string(text)
	}
	return all
}

// put writes a draft, as a server does.
func (r *rig) put(name, def string, files map[string]string, is *string) (store.Draft, error) {
	r.t.Helper()
	b := api.Bundle{Definition: def}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		digest := archive.Digest([]byte(files[p]))
		if err := r.archive.Put(r.t.Context(), digest, strings.NewReader(files[p])); err != nil {
			r.t.Fatal(err)
		}
		name, executable := strings.CutSuffix(p, "*")
		b.Files = append(b.Files, api.File{Path: name, Digest: digest, Size: int64(len(files[p])), Executable: executable})
	}
	return r.SetDraft(r.t.Context(), store.Draft{Project: "default", Name: name, Definition: def, Manifest: marshal(r.t, b)}, is)
}

// disk is what is in the folder: the contents of files, and what else there is.
func (r *rig) disk() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(r.dir, func(file string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(r.dir, file)
		switch {
		case err != nil:
			return err
		case e.Type().IsRegular():
			text, err := os.ReadFile(file)
			if info, _ := e.Info(); info.Mode()&0o111 != 0 {
				name += "*"
			}
			all[name] = string(text)
			return err
		case !e.IsDir():
			all[name] = e.Type().String()
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

const (
	plain  = "image: busybox\ncommand: [echo]\n"
	script = "image: busybox\nscript: {file: run.sh}\n"
)

// TestWhatBelongs has folders of several kinds, and the files that their drafts have.
func TestWhatBelongs(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		list  string
		want  map[string]string // the files of each draft, after the path of its definition
	}{
		"a folder of its own": {
			map[string]string{"backup/tool.yaml": plain, "backup/lib/a.py": "a", "backup/run.sh*": "r", "backup/.hidden": "h", "backup/.git/x": "g", "backup/node_modules/x": "n"},
			"backup/tool.yaml:tool",
			map[string]string{"backup/tool.yaml": "tool.yaml: lib/a.py run.sh* tool.yaml"},
		},
		"several in a folder": {
			map[string]string{
				"a.yaml": script, "b.yml": plain, "run.sh": "r", "other": "o", "b_test.yaml": "tool: ./b.yml\nmocks: m.yaml\ntests: [{name: x, http: [{url: \"http://a\", file: body}]}]\n",
				"m.yaml": "http: []\n", "body": "b", "c_test.yaml": "tool: ./a.yaml\ntests: [{name: x}]\n", "a_test.yaml": "tests: [\n", "compose.yaml": "services: {a: {image: x}}\n",
			},
			"a.yaml:tool b.yml:tool",
			map[string]string{"a.yaml": "a.yaml: a.yaml a_test.yaml c_test.yaml run.sh", "b.yml": "b.yml: b.yml b_test.yaml body m.yaml"},
		},
		"a workflow with tools": {
			map[string]string{
				"flows/release.yaml": "workflow: [{name: a, tool: build}, {name: b, tool: ../other/x.yaml}, {name: c, tool: elsewhere}]\n",
				"tools/build.yaml":   script, "tools/run.sh*": "r", "other/x.yaml": plain, "other/y": "y", "flows/unused": "u",
			},
			"flows/release.yaml:workflow other/x.yaml:tool tools/build.yaml:tool",
			map[string]string{"flows/release.yaml": "flows/release.yaml: flows/release.yaml flows/unused other/x.yaml tools/build.yaml tools/run.sh*", "other/x.yaml": "x.yaml: x.yaml y"},
		},
		"a project in the folder": {
			map[string]string{
				"p/mayfly.yaml": "", "p/flows/f.yaml": "workflow: [{name: a, tool: own}, {name: b, tool: above}]\n", "p/tools/own.yaml": plain,
				"tools/above.yaml": plain, "tools/own.yaml": plain, "other/g.yaml": "workflow: [{name: a, tool: above}]\n",
			},
			"other/g.yaml:workflow p/flows/f.yaml:workflow p/tools/own.yaml:tool tools/above.yaml:tool tools/own.yaml:tool",
			map[string]string{"p/flows/f.yaml": "flows/f.yaml: flows/f.yaml tools/own.yaml", "other/g.yaml": "other/g.yaml: other/g.yaml tools/above.yaml"},
		},
		"wrong": {
			map[string]string{"a/tool.yaml": "name: [\n", "b/workflow.yaml": "", "c.yaml": "image: busybox\ncommand: [\n", "d.yaml": "a: b\n"},
			"a/tool.yaml: b/workflow.yaml: c.yaml:tool",
			map[string]string{"c.yaml": "c.yaml: c.yaml"},
		},
		"a folder as a volume": {
			map[string]string{"a.yaml": "image: x\nvolumes: [{name: v, file: conf, mount_path: /v}]\n", "b.yaml": plain, "conf/x": "x", "conf/.y": "y", "conf/.git/z": "z"},
			"a.yaml:tool b.yaml:tool",
			map[string]string{"a.yaml": "a.yaml: a.yaml conf/.y conf/x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, c.files)
			if got := r.list(); got != c.list {
				t.Errorf("the drafts are %q, want %q", got, c.list)
			}
			for draft, want := range c.want {
				d, files := r.get(draft)
				if got := d.Definition + ": " + strings.Join(slices.Sorted(maps.Keys(files)), " "); got != want {
					t.Errorf("%s: %s, want %s", draft, got, want)
				}
				if d.Problem != "" || d.Changed.IsZero() {
					t.Errorf("%s: %+v", draft, d)
				}
			}
		})
	}
}

// TestWrite writes drafts: only what differs is written, and what is gone is removed.
func TestWrite(t *testing.T) {
	r := open(t, map[string]string{"a/tool.yaml": script, "a/run.sh*": "r", "a/old": "o", "b/tool.yaml": plain, "keep": "k"})
	d, files := r.get("a/tool.yaml")
	before, err := os.Stat(filepath.Join(r.dir, "a/tool.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	delete(files, "old")
	files["run.sh*"], files["lib/new*"] = "changed", "n"
	next, err := r.put("a/tool.yaml", "tool.yaml", files, &d.Tag)
	if err != nil || next.Tag == d.Tag {
		t.Fatalf("%+v, %v", next, err)
	}
	want := map[string]string{"a/tool.yaml": script, "a/run.sh*": "changed", "a/lib/new*": "n", "b/tool.yaml": plain, "keep": "k"}
	if got := r.disk(); !maps.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
	if after, err := os.Stat(filepath.Join(r.dir, "a/tool.yaml")); err != nil || !os.SameFile(before, after) {
		t.Errorf("what is the same is written anew, %v", err)
	}
	if again, files := r.get("a/tool.yaml"); again.Tag != next.Tag || files["lib/new*"] != "n" {
		t.Errorf("%+v %q", again, files)
	}
	if _, err := r.put("a/tool.yaml", "tool.yaml", map[string]string{"tool.yaml": plain}, &d.Tag); !errors.Is(err, store.ErrChanged) {
		t.Errorf("with an old tag: %v", err)
	}
	// Another program is faster, and the size is the same.
	r.edit("a/run.sh*", "chanGed")
	if _, err := r.put("a/tool.yaml", "tool.yaml", files, &next.Tag); !errors.Is(err, store.ErrChanged) {
		t.Errorf("after an edit: %v", err)
	}
	if _, err := r.put("c/d/tool.yaml", "tool.yaml", map[string]string{"tool.yaml": "name: [\n", "x": "y"}, new("")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.put("c/d/tool.yaml", "tool.yaml", map[string]string{"tool.yaml": plain}, new("")); !errors.Is(err, store.ErrChanged) {
		t.Errorf("one that is there: %v", err)
	}
	now, files := r.get("c/d/tool.yaml")
	if files["x"] != "y" {
		t.Errorf("%q", files)
	}
	if err := r.RemoveDraft(t.Context(), "default", "c/d/tool.yaml", &d.Tag); !errors.Is(err, store.ErrChanged) {
		t.Errorf("remove with another tag: %v", err)
	}
	if err := r.RemoveDraft(t.Context(), "default", "c/d/tool.yaml", &now.Tag); err != nil {
		t.Fatal(err)
	}
	for _, is := range []*string{nil, &now.Tag} {
		for _, name := range []string{"c/d/tool.yaml", "keep"} {
			if err := r.RemoveDraft(t.Context(), "default", name, is); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("remove %s, which isn't a draft: %v", name, err)
			}
		}
	}
	want["c/d/x"], want["a/run.sh*"] = "y", "chanGed" // it isn't named, so it may be anyone's
	if got := r.disk(); !maps.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
	// What is hardly begun is a draft too, and stays one when another program empties it.
	if d, err := r.put("new.yaml", "new.yaml", map[string]string{"new.yaml": "name: new\n"}, new("")); err != nil || d.Kind != "" {
		t.Errorf("%+v, %v", d, err)
	}
	r.edit("b/tool.yaml", "")
	r.edit("new.yaml", "")
	if got := r.list(); got != "a/tool.yaml:tool b/tool.yaml: new.yaml:" {
		t.Errorf("the drafts are %s", got)
	}
	for _, project := range []string{"other", ""} {
		if all, _, err := r.Drafts(t.Context(), project); all != nil || err != nil {
			t.Errorf("of %q: %v, %v", project, all, err)
		}
		if _, err := r.Draft(t.Context(), project, "a/tool.yaml"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of %q: %v", project, err)
		}
	}
}

// TestShared removes a file, and a draft, that another one needs.
func TestShared(t *testing.T) {
	r := open(t, map[string]string{"flow.yaml": "workflow: [{name: a, tool: x}]\n", "tools/x.yaml": script, "tools/run.sh": "r", "tools/y.yaml": script, "flow_test.yaml": "workflow: ./flow.yaml\ntests: [{name: a}]\n"})
	d, files := r.get("tools/x.yaml")
	delete(files, "run.sh")
	files["x.yaml"] = plain
	if _, err := r.put("tools/x.yaml", "x.yaml", files, &d.Tag); err != nil {
		t.Fatal(err)
	}
	if d, _ := r.get("flow.yaml"); !slices.Equal(d.Own, []string{"flow.yaml", "flow_test.yaml"}) {
		t.Errorf("with flow.yaml would go %q", d.Own)
	}
	if err := r.RemoveDraft(t.Context(), "default", "flow.yaml", nil); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"tools/x.yaml": plain, "tools/run.sh": "r", "tools/y.yaml": script}
	if got := r.disk(); !maps.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
	if err := r.RemoveDraft(t.Context(), "default", "tools/y.yaml", nil); err != nil {
		t.Fatal(err)
	}
	if got := r.disk(); !maps.Equal(got, map[string]string{"tools/x.yaml": plain}) {
		t.Errorf("at the end there is %q", got)
	}
}

// TestWhileWrong has a definition that is wrong for a while: its draft has the files that it had.
func TestWhileWrong(t *testing.T) {
	r := open(t, map[string]string{"a.yaml": script, "b.yaml": plain, "run.sh": "r"})
	r.get("a.yaml")
	r.edit("a.yaml", "image: busybox\nscript: {file: run.s")
	if _, files := r.get("a.yaml"); files["run.sh"] != "r" {
		t.Errorf("while it is wrong: %q", files)
	}
	r.edit("a.yaml", plain)
	d, files := r.get("a.yaml")
	if len(files) != 1 {
		t.Errorf("when it is right: %q", files)
	}
	files["new.sh"] = "not named yet"
	if _, err := r.put("a.yaml", "a.yaml", files, &d.Tag); err != nil {
		t.Fatal(err)
	}
	if _, files := r.get("a.yaml"); files["new.sh"] != "not named yet" {
		t.Errorf("what was written with it is gone: %q", files)
	}
}

// TestNewEdit has a file changed twice at about the same time, with the same size: the list shows both.
func TestNewEdit(t *testing.T) {
	r := open(t, map[string]string{"tool.yaml": plain})
	at := time.Now().Add(hour) // not older than the clock of a file system is slow
	tags := map[string]bool{}
	for _, text := range []string{"r", "s", "t"} {
		r.edit("run.sh", text)
		if err := os.Chtimes(filepath.Join(r.dir, "run.sh"), at, at); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			all, _, err := r.Drafts(t.Context(), "default")
			if err != nil || len(all) != 1 {
				t.Fatalf("%+v, %v", all, err)
			}
			tags[all[0].Tag] = true
		}
	}
	if len(tags) != 3 {
		t.Errorf("there were %d lists", len(tags))
	}
}

// TestHiddenEdit has a file changed so that neither its size nor its time tells: a draft isn't written over it.
func TestHiddenEdit(t *testing.T) {
	r := open(t, map[string]string{"tool.yaml": plain, "run.sh": "r"})
	file := filepath.Join(r.dir, "run.sh")
	long := time.Now().Add(-hour)
	if err := os.Chtimes(file, long, long); err != nil {
		t.Fatal(err)
	}
	d, files := r.get("tool.yaml")
	r.edit("run.sh", "s")
	if err := os.Chtimes(file, long, long); err != nil {
		t.Fatal(err)
	}
	files["run.sh"] = "mine"
	if _, err := r.put("tool.yaml", "tool.yaml", files, &d.Tag); !errors.Is(err, store.ErrChanged) {
		t.Errorf("%v", err)
	}
}

// TestChangedMeanwhile has another program change a file, or make one, while the new ones are written: none is put in its place.
func TestChangedMeanwhile(t *testing.T) {
	for _, name := range []string{"run.sh", "new"} {
		r := open(t, map[string]string{"tool.yaml": plain, "run.sh": "r"})
		d, _ := r.get("tool.yaml")
		r.Folder.archive.In = &slow{r.archive.In, func() { r.edit(name, "another") }}
		if _, err := r.put("tool.yaml", "tool.yaml", map[string]string{"tool.yaml": script, "new": "mine"}, &d.Tag); !errors.Is(err, store.ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
		want := map[string]string{"tool.yaml": plain, "run.sh": "r"}
		want[name] = "another"
		if got := r.disk(); !maps.Equal(got, want) {
			t.Errorf("%s: there is %q, want %q", name, got, want)
		}
	}
}

// TestHalfway has a file that can't be put in its place after others were: the error says which are.
func TestHalfway(t *testing.T) {
	for n, want := range map[int]string{
		0: "z.sh can't be written: no such file or directory", 2: "z.sh can't be written: no such file or directory; before that, f0.sh is written, f1.sh is written",
		12: "z.sh can't be written: no such file or directory; before that, f0.sh is written, f1.sh is written, f10.sh is written, f11.sh is written, f2.sh is written, f3.sh is written, f4.sh is written, f5.sh is written, f6.sh is written, f7.sh is written, and 2 others",
	} {
		r := open(t, map[string]string{"tool.yaml": plain})
		files := map[string]string{"tool.yaml": plain, "z.sh": "last"}
		for i := range n {
			files[fmt.Sprintf("f%d.sh", i)] = "mine"
		}
		opened := 0
		r.Folder.archive.In = &slow{r.archive.In, func() {
			if opened++; opened <= n {
				return
			}
			for name, text := range r.disk() { // what is opened for z.sh is empty yet
				if isUnfinished.MatchString(name) && text == "" {
					if err := os.Remove(filepath.Join(r.dir, name)); err != nil {
						t.Error(err)
					}
				}
			}
		}}
		_, err := r.put("tool.yaml", "tool.yaml", files, nil)
		var p *api.Problem
		if !errors.As(err, &p) || p.Detail != want {
			t.Errorf("%v, want %s", err, want)
		}
		if got := r.disk(); len(got) != n+1 {
			t.Errorf("there is %q", got)
		}
	}
}

// TestRemovedMeanwhile has another program remove a file of a draft that is being read.
func TestRemovedMeanwhile(t *testing.T) {
	r := open(t, map[string]string{"tool.yaml": plain, "run.sh": "r"})
	r.Folder.archive.In = &slow{r.archive.In, func() { _ = os.Remove(filepath.Join(r.dir, "run.sh")) }} // it was removed before
	if _, files := r.get("tool.yaml"); len(files) != 1 {
		t.Errorf("%q", files)
	}
}

// slow is an archive in which something happens when a content is opened or looked for.
type slow struct {
	archive.Storage
	then func()
}

func (s *slow) Open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, archive.Object, error) {
	s.then()
	return s.Storage.Open(ctx, name, offset, length)
}

func (s *slow) Stat(ctx context.Context, name string) (archive.Object, error) {
	s.then()
	return s.Storage.Stat(ctx, name)
}

// TestListed has the list noticed each change of the folder.
func TestListed(t *testing.T) {
	r := open(t, map[string]string{"a.yaml": script, "b.yaml": plain, "run.sh": "r"})
	tags := func() string {
		all, _, err := r.Drafts(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		var text []string
		for _, d := range all {
			text = append(text, d.Name+d.Tag)
		}
		return fmt.Sprint(text)
	}
	age := func() { // as if the last change were an hour ago
		for name := range r.disk() {
			file := filepath.Join(r.dir, strings.TrimSuffix(name, "*"))
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if at := info.ModTime().Add(-hour); err == nil {
				err = os.Chtimes(file, at, at)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	seen := map[string]bool{}
	for name, change := range []func(){
		func() {}, func() { r.edit("run.sh", "s") }, func() { r.edit("run.sh", "longer") }, func() { r.edit("c.yaml", plain) },
		func() {
			if err := os.Chmod(filepath.Join(r.dir, "run.sh"), 0o755); err != nil {
				t.Fatal(err)
			}
		},
		func() {
			if err := os.Remove(filepath.Join(r.dir, "b.yaml")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		change()
		age()
		for range 3 { // the second and third may be kept
			text := tags()
			if again := tags(); again != text {
				t.Errorf("%d: %s, then %s", name, text, again)
			}
			seen[text] = true
		}
		if len(seen) != name+1 {
			t.Errorf("after change %d, there were %d lists", name, len(seen))
		}
		if r.listed.look == "" {
			t.Errorf("after change %d, the list isn't kept", name)
		}
	}
}
