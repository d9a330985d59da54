package drafts

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// SetDraft implements store.Drafts. It writes the files that differ, each as a whole, and removes those that the draft had and no longer has, unless
// another draft has them too. The files that it writes are put in their places when all of them are written and nobody has changed any meanwhile.
func (f *Folder) SetDraft(ctx context.Context, d store.Draft, is *string) (store.Draft, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.Project != f.project {
		return d, refused("this server has the files of "+f.path+" as drafts, of the project "+f.project+" only", "send it to that project")
	}
	root, ok := rootOf(d.Name, d.Definition)
	if !ok {
		return d, refused(fmt.Sprintf("the definition %q is not the file of the draft %q", d.Definition, d.Name),
			"a draft here is called by the path of its definition, such as backup/tool.yaml with the definition tool.yaml")
	}
	var b api.Bundle
	if err := json.Unmarshal(d.Manifest, &b); err != nil {
		return d, err
	}
	all, has, tag, err := f.now(d.Name)
	if err != nil {
		return d, err
	}
	if is != nil && *is != tag {
		return d, store.ErrChanged
	}
	if _, err := f.root.Lstat(d.Name); err == nil && tag == "" {
		return d, refused(d.Name+" already exists, and isn't a definition", "use another name")
	}
	if tag == "" && len(all.names) >= store.MostDrafts {
		return d, store.ErrTooManyDrafts
	}
	w := &writing{f: f, has: has, written: map[string]bool{}}
	defer w.close()
	for _, one := range b.Files {
		p := path.Join(root, one.Path)
		w.written[p] = true
		if err := w.write(ctx, p, one); err != nil {
			return d, err
		}
	}
	others := f.others(d.Name, all)
	for _, p := range has.paths() {
		if !w.written[p] && !others[p] {
			w.gone = append(w.gone, p)
		}
	}
	if err := w.commit(); err != nil {
		return d, err
	}
	with := f.with[d.Name]
	with.written = slices.Collect(maps.Keys(w.written))
	f.with[d.Name] = with
	return f.whole(ctx, d.Name)
}

// RemoveDraft implements store.Drafts. It removes the definition, and what only that has: the files that it names and its tests, but nothing that another
// draft has, and nothing else of its folder.
func (f *Folder) RemoveDraft(_ context.Context, project, name string, is *string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if project != f.project {
		return store.ErrNotFound
	}
	all, has, tag, err := f.now(name)
	switch {
	case err != nil:
		return err
	case tag == "":
		return store.ErrNotFound
	case is != nil && *is != tag:
		return store.ErrChanged
	}
	w := &writing{f: f, has: has, gone: f.own(name, all, has)}
	if err := w.commit(); err != nil {
		return err // the draft is still there, with what it had
	}
	delete(f.with, name)
	return nil
}

// rootOf returns the folder that a draft's files are in.
func rootOf(name, def string) (string, bool) {
	if !fs.ValidPath(name) || !definition.IsYAML(name) || definition.IsTestFile(name) || strings.Count(name, "/") > deepest {
		return "", false
	}
	if name == def {
		return ".", true
	}
	root, ok := strings.CutSuffix(name, "/"+def)
	return root, ok && def != ""
}

// now returns what there is of a draft, read anew. One that doesn't exist has no files and no tag.
func (f *Folder) now(name string) (all *scan, has *state, tag string, err error) {
	f.reread()
	all = f.scan()
	d, has, err := f.draft(name, all)
	if errors.Is(err, store.ErrNotFound) {
		return all, &state{}, "", nil
	}
	return all, has, d.Tag, err
}

// own are the files of a draft in its folder that no other draft has.
func (f *Folder) own(name string, all *scan, has *state) (own []string) {
	others := f.others(name, all)
	for _, p := range has.named {
		if _, there := has.infos[p]; there && (p == name || !others[p] && within(path.Dir(name), p)) {
			own = append(own, p)
		}
	}
	return own
}

// others are the files of all other drafts.
func (f *Folder) others(name string, all *scan) map[string]bool {
	paths := map[string]bool{}
	for _, other := range all.names {
		if other == name {
			continue
		}
		for _, p := range f.belong(other, all, &state{}) {
			paths[p] = true
		}
	}
	return paths
}

// writing is a change of files that isn't done yet.
type writing struct {
	f       *Folder
	has     *state
	written map[string]bool // what the draft will have
	ready   []ready
	made    []string // folders, each after those that it is in
	gone    []string
	done    []string // what was written and removed
}

// ready is a new file beside the one that it replaces.
type ready struct{ temporary, path string }

// write makes a file ready, if it differs from what is there.
func (w *writing) write(ctx context.Context, p string, one api.File) error {
	old := w.has.infos[p]
	if old != nil {
		at := slices.IndexFunc(w.has.files, func(is api.File) bool { return is.Path == w.has.relative(p) })
		if is := w.has.files[at]; is.Digest == one.Digest && is.Executable == one.Executable {
			return nil
		}
	}
	if err := w.mayWrite(p, old != nil); err != nil {
		return err
	}
	dir := path.Dir(p)
	if err := w.makeFolder(dir); err != nil {
		return refused(fmt.Sprintf("the folder of %s can't be made: %v", p, withoutCall(err)), "use another path")
	}
	mode := fs.FileMode(0o666)
	if one.Executable {
		mode = 0o777
	}
	if old != nil {
		mode = 0o600 // until it has the old one's, which may keep others out
	}
	temporary := path.Join(dir, unfinished+rand.Text())
	out, err := w.f.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return refused(fmt.Sprintf("%s can't be written: %v", p, withoutCall(err)), "look at who may write to its folder")
	}
	w.ready = append(w.ready, ready{temporary, p})
	in, _, err := w.f.archive.Open(ctx, one.Digest)
	if err != nil {
		return errors.Join(err, out.Close())
	}
	_, err = io.Copy(out, in)
	if old != nil && err == nil {
		keepOwner(out, old)
		err = out.Chmod(modeOf(old.Mode().Perm(), one.Executable))
	}
	if err == nil {
		err = out.Sync() // it is what someone has written, and there may be no other copy
	}
	return errors.Join(err, in.Close(), out.Close())
}

// makeFolder makes a folder, and those that it is in.
func (w *writing) makeFolder(dir string) error {
	for i, r := range dir + "/" {
		if r == '/' && w.f.root.Mkdir(dir[:i], 0o777) == nil {
			w.made = append(w.made, dir[:i])
		}
	}
	return w.f.root.MkdirAll(dir, 0o777) // which says what is wrong
}

// modeOf is the mode of a file that is to be executable or not: by those who may read it.
func modeOf(mode fs.FileMode, executable bool) fs.FileMode {
	switch {
	case !executable:
		return mode &^ 0o111
	case mode&0o111 == 0:
		return mode | mode&0o444>>2
	}
	return mode
}

// mayWrite checks that a draft may have a file, and that nothing is in its way.
func (w *writing) mayWrite(p string, had bool) error {
	if skip := slices.ContainsFunc(strings.Split(p, "/"), skipped); skip && !had {
		return refused(p+" is hidden, or in a folder of packages, where nothing is written", "use another path")
	}
	if link := w.f.linkTo(p); link != "" {
		return refused(link+" is a link, through which nothing is written", "edit the file that it leads to")
	}
	info, err := w.f.root.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return refused(fmt.Sprintf("%s can't be looked at: %v", p, withoutCall(err)), "use another path")
	case info.Mode()&fs.ModeSymlink != 0:
		return refused(p+" is a link, through which nothing is written", "edit the file that it leads to")
	case !info.Mode().IsRegular():
		return refused(p+" already exists, and isn't a file", "use another path")
	case !had:
		return refused(p+" already exists, and isn't one of the draft's files", "use another path, or get the draft again")
	}
	return nil
}

// linkTo returns a folder of a path that is a link, or "".
func (f *Folder) linkTo(p string) string {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if info, err := f.root.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return dir
		}
	}
	return ""
}

// commit puts the new files in their places, and removes those that are gone. It does nothing if any has changed since it was read.
func (w *writing) commit() error {
	for p, old := range w.has.infos {
		info, err := w.f.root.Stat(p)
		if err != nil || !(seen{info: old}).same(info) {
			return store.ErrChanged
		}
	}
	for _, one := range w.ready {
		if _, had := w.has.infos[one.path]; had {
			continue
		}
		if _, err := w.f.root.Lstat(one.path); !errors.Is(err, fs.ErrNotExist) { // another program has made it since mayWrite looked
			return store.ErrChanged
		}
	}
	for i, one := range w.ready {
		if err := w.f.root.Rename(one.temporary, one.path); err != nil {
			return w.halfway(fmt.Sprintf("%s can't be written: %v", one.path, withoutCall(err)))
		}
		w.ready[i].temporary = ""
		w.done = append(w.done, one.path+" is written")
	}
	for _, p := range w.gone {
		if w.f.linkTo(p) != "" {
			continue // it is somewhere else
		}
		if err := w.f.root.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return w.halfway(fmt.Sprintf("%s can't be removed: %v", p, withoutCall(err)))
		}
		w.done = append(w.done, p+" is removed")
		for dir := path.Dir(p); dir != "." && w.f.root.Remove(dir) == nil; dir = path.Dir(dir) { // one that isn't empty stays
			continue
		}
	}
	return nil
}

// halfway is the error of a change of which some was done.
func (w *writing) halfway(wrong string) error {
	const most = 10
	if n := len(w.done); n > most {
		w.done = append(w.done[:most:most], fmt.Sprintf("and %d others", n-most))
	}
	if len(w.done) > 0 {
		wrong += "; before that, " + strings.Join(w.done, ", ")
	}
	return refused(wrong, "look at who may write to its folder, and get the draft again")
}

// close removes what wasn't put in its place, and the folders that were made for it.
func (w *writing) close() {
	for _, one := range w.ready {
		if one.temporary != "" {
			_ = w.f.root.Remove(one.temporary) // the error of the write says what is wrong
		}
	}
	for _, dir := range slices.Backward(w.made) {
		_ = w.f.root.Remove(dir) // one that isn't empty stays
	}
}
