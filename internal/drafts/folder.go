// Package drafts has the definitions in a folder of one's own as drafts of a server. A draft is the files that are there now: whoever changes them, also
// with another program, changes the draft.
//
// The folder may have come from anywhere. Nothing outside it is read or written, whatever links say; what isn't a file is never opened; and
// there is a bound to everything.
package drafts

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// Folder has the drafts of a folder. It implements store.Drafts for one project; the others have none. The name of a draft is the path of its definition
// in the folder. Its methods may be called from several goroutines.
type Folder struct {
	project string
	path    string
	root    *os.Root
	archive archive.Contents
	sent    store.Contents

	mu     sync.Mutex
	seen   map[string]seen // files that were read, by path
	kept   int             // the bytes of those of them whose outcomes are kept
	with   map[string]with
	listed listed
	opened opened
	used   map[string]bool // the files of all drafts when they were listed
}

// listed is a list of drafts, and what the folder looked like then.
type listed struct {
	look    string
	all     []store.Draft
	omitted []string
}

// opened are the files of the draft that was read last.
type opened struct {
	name, root string
	has        map[string]bool // paths in root
}

// with are files that a draft has whatever its definition says now: as long as it is wrong, nobody knows what it names, and what was written with it need
// not be named yet.
type with struct {
	named   []string // by the definition when it was right
	written []string
}

// Open returns the drafts of a folder. The contents of drafts that are read are put into the archive, and noted as sent to the project.
func Open(dir, project string, a archive.Contents, sent store.Contents) (*Folder, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open the folder %s: %w", dir, err)
	}
	f := &Folder{project: project, path: abs, root: root, archive: a, sent: sent, seen: map[string]seen{}, with: map[string]with{}}
	f.removeAbandoned()
	return f, nil
}

// Path is the folder's absolute path.
func (f *Folder) Path() string { return f.path }

// Close ends the use of the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Drafts implements store.Drafts.
func (f *Folder) Drafts(ctx context.Context, project string) (all []store.Draft, omitted []string, err error) {
	if project != f.project {
		return nil, nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	look, old := f.look()
	if old && look == f.listed.look {
		return f.listed.all, f.listed.omitted, nil
	}
	s := f.scan()
	used := map[string]bool{}
	for _, name := range s.names {
		if err := context.Cause(ctx); err != nil {
			return nil, nil, err
		}
		d, has, err := f.draft(name, s)
		if errors.Is(err, store.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, nil, err
		}
		d.Manifest = nil
		all = append(all, d)
		for p := range has.infos {
			used[p] = true
		}
	}
	f.forget(s)
	f.used = used
	if after, _ := f.look(); after == look { // nothing was changed while it was read
		f.listed = listed{look, all, s.omitted}
	}
	return all, s.omitted, nil
}

// Draft implements store.Drafts.
func (f *Folder) Draft(ctx context.Context, project, name string) (store.Draft, error) {
	if project != f.project {
		return store.Draft{}, store.ErrNotFound
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.whole(ctx, name)
}

// whole returns a draft whose contents are in the archive.
func (f *Folder) whole(ctx context.Context, name string) (store.Draft, error) {
	const tries = 5
	for n := 1; ; n++ {
		all := f.scan()
		d, has, err := f.draft(name, all)
		if err == nil {
			d.Own = f.own(name, all, has)
			err = f.keep(ctx, has.root, has.files)
		}
		var other *archive.DigestError
		if n < tries && (errors.As(err, &other) || errors.Is(err, fs.ErrNotExist)) { // a file was changed or removed after it was read
			f.reread()
			continue
		}
		if err == nil {
			f.opened = opened{name, has.root, map[string]bool{}}
			for _, one := range has.files {
				f.opened.has[one.Path] = true
			}
		}
		return d, err
	}
}

// DraftFile implements store.Drafts. Of the draft that was read last, only the file itself is read: it is as it is now.
func (f *Folder) DraftFile(ctx context.Context, project, name, file string) (digest string, err error) {
	if project != f.project {
		return "", store.ErrNotFound
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if digest, err = f.openedFile(ctx, name, file); err == nil && digest != "" {
		return digest, nil
	}
	if _, err := f.whole(ctx, name); err != nil {
		return "", err
	}
	return f.openedFile(ctx, name, file)
}

// openedFile returns the digest of a file of the draft that was read last, or "" if it is another draft, or has no such file.
func (f *Folder) openedFile(ctx context.Context, name, file string) (digest string, err error) {
	if f.opened.name != name || !f.opened.has[file] {
		return "", nil
	}
	if _, err := f.root.Stat(name); err != nil { // without its definition, it is no draft
		return "", err
	}
	one, _, err := f.file(path.Join(f.opened.root, file))
	if err != nil {
		return "", err
	}
	one.Path = file
	return one.Digest, f.keep(ctx, f.opened.root, []api.File{one})
}

// keep puts the contents of files in root into the archive, and notes them.
func (f *Folder) keep(ctx context.Context, root string, files []api.File) error {
	var digests []string
	for _, one := range files {
		digests = append(digests, one.Digest)
		there, err := f.archive.Renew(ctx, one.Digest)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		in, _, err := f.open(path.Join(root, one.Path))
		if err != nil {
			return err
		}
		// A log that a program goes on writing is longer by now, and what was read of it before is its beginning.
		if err := errors.Join(f.archive.Put(ctx, one.Digest, io.LimitReader(in, one.Size)), in.Close()); err != nil {
			return err
		}
	}
	noted, err := f.sent.Contents(ctx, f.project, digests)
	if err != nil {
		return err
	}
	if digests = slices.DeleteFunc(digests, func(digest string) bool { return noted[digest] }); len(digests) == 0 {
		return nil
	}
	return f.sent.AddContents(ctx, f.project, digests)
}

// draft returns a draft, with the state of its files. The error is store.ErrNotFound if there is no such definition.
func (f *Folder) draft(name string, s *scan) (store.Draft, *state, error) {
	if !slices.Contains(s.names, name) {
		return store.Draft{}, nil, store.ErrNotFound
	}
	has, err := f.state(name, s)
	if err != nil {
		return store.Draft{}, nil, err
	}
	b := api.Bundle{Definition: has.definition, Files: has.files}
	manifest, err := json.Marshal(b)
	return store.Draft{
		Project: f.project, Name: name, Kind: s.kinds[name], Definition: has.definition, Manifest: manifest, Tag: store.TagOfDraft(manifest, 0),
		Changed: has.changed, Problem: has.problem,
	}, has, err
}

// look returns what the folder looks like without opening any file, and whether each change from now on would show: the latest one is old enough that
// the next has another time.
func (f *Folder) look() (text string, old bool) {
	sum, newest := sha256.New(), time.Time{}
	add := func(name string, info fs.FileInfo, err error) {
		if err != nil {
			fmt.Fprintf(sum, "%q %v\n", name, err)
			return
		}
		fmt.Fprintf(sum, "%q %v %d %d %d\n", name, info.Mode(), info.Size(), info.ModTime().UnixNano(), inode(info))
		if at := info.ModTime(); at.After(newest) {
			newest = at
		}
	}
	left := mostEntries
	omit := func(format string, args ...any) { fmt.Fprintf(sum, format+"\n", args...) }
	err := f.walk(".", 0, &left, skipped, func(name string, e fs.DirEntry) error {
		info, err := e.Info()
		add(name, info, err)
		return nil
	}, omit)
	fmt.Fprintln(sum, err)
	for _, name := range slices.Sorted(maps.Keys(f.used)) { // also those behind links and in hidden folders
		info, err := f.root.Stat(name)
		add(name, info, err)
	}
	return string(sum.Sum(nil)), time.Since(newest) > settled
}

// forget forgets files that no longer belong to a draft.
func (f *Folder) forget(s *scan) {
	for name := range f.with {
		if !slices.Contains(s.names, name) {
			delete(f.with, name)
		}
	}
	const most = 50_000
	if len(f.seen) > most {
		f.reread()
	}
}

// refused is the answer to a change that the folder can't take.
func refused(detail, remedy string) error {
	return &api.Problem{Title: http.StatusText(http.StatusUnprocessableEntity), Status: http.StatusUnprocessableEntity, Reason: run.CodeInvalidRequest, Detail: detail, Remedy: remedy}
}

// within says whether a file is in a folder.
func within(dir, file string) bool { return dir == "." || strings.HasPrefix(file, dir+"/") }

// skipped says whether a file or folder of this name is left out of searches: what is in it is nobody's to edit.
func skipped(name string) bool {
	return name == "node_modules" || name == "__pycache__" || strings.HasPrefix(name, ".")
}

// withoutCall is the error of a file operation without the name of the call and the path.
func withoutCall(err error) error {
	var system *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &system):
		return system.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
