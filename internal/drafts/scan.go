package drafts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// What a search of the folder is bounded by.
const (
	deepest     = 16
	mostEntries = 20_000
	mostOmitted = 20
)

// scan is what a search of the folder has found.
type scan struct {
	names   []string          // of the definitions, sorted
	kinds   map[string]string // what they look like
	omitted []string

	testFiles map[string][]string // by their folder
	tests     map[string][]tests  // those that were read
}

func (s *scan) omit(format string, args ...any) {
	if len(s.omitted) < mostOmitted {
		s.omitted = append(s.omitted, fmt.Sprintf(format, args...))
	}
}

// scan finds the definitions in the folder.
func (f *Folder) scan() *scan {
	s, left := &scan{kinds: map[string]string{}, testFiles: map[string][]string{}, tests: map[string][]tests{}}, mostEntries
	err := f.walk(".", 0, &left, skipped, func(name string, e fs.DirEntry) error {
		base := path.Base(name)
		if !e.Type().IsRegular() || !definition.IsYAML(name) {
			return nil
		}
		if definition.IsTestFile(name) {
			dir := path.Dir(name)
			s.testFiles[dir] = append(s.testFiles[dir], name)
			return nil
		}
		kind, err := f.kind(name)
		if err != nil {
			s.omit("%s can't be read: %v", name, withoutCall(err))
			return nil
		}
		stem := strings.TrimSuffix(base, path.Ext(base))
		if _, was := f.with[name]; kind == "" && stem != "tool" && stem != "workflow" && !was { // it stays one while it is written
			return nil
		}
		if len(name) > 512 {
			s.omit("%s has too long a path", name)
			return nil
		}
		if len(s.names) == store.MostDrafts {
			return fmt.Errorf("more than %d definitions are in the folder; the others are left out", store.MostDrafts)
		}
		s.names, s.kinds[name] = append(s.names, name), kind
		return nil
	}, s.omit)
	if err != nil {
		s.omit("%v", err)
	}
	slices.Sort(s.names)
	return s
}

// walk calls take with what is in a folder and below it, except for what skip names, and calls omit with what can't be read. left is how many entries
// it may look at. It opens only folders, and follows no links.
func (f *Folder) walk(dir string, depth int, left *int, skip func(name string) bool, take func(name string, e fs.DirEntry) error, omit func(format string, args ...any)) error {
	if depth > deepest {
		omit("what is in %s is left out: it is more than %d folders deep", dir, deepest)
		return nil
	}
	d, err := f.root.OpenFile(dir, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO may be there by now
	if err != nil {
		omit("the folder %s can't be read: %v", dir, withoutCall(err))
		return nil
	}
	var entries []fs.DirEntry
	for err == nil {
		var some []fs.DirEntry
		some, err = d.ReadDir(1000)
		entries = append(entries, some...)
		if *left -= len(some); *left < 0 {
			_ = d.Close() // it was only read
			return fmt.Errorf("more than %d files and folders are below the folder; the others are left out: start mayfly dev in a smaller one", mostEntries)
		}
	}
	if err := d.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	if !errors.Is(err, io.EOF) {
		omit("the folder %s can't be read: %v", dir, withoutCall(err))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case skip(e.Name()) || !fs.ValidPath(name) || strings.Contains(name, `\`):
		case e.IsDir():
			if err := f.walk(name, depth+1, left, skip, take, omit); err != nil {
				return err
			}
		default:
			if err := take(name, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// kind says what a definition looks like.
func (f *Folder) kind(name string) (string, error) {
	if old := f.known(name); old.looked {
		return old.kind, nil
	}
	in, info, err := f.open(name)
	if err != nil {
		return "", err
	}
	defer in.Close()
	text, err := document.Read(in, definition.KindBytes)
	if err != nil && !errors.Is(err, document.ErrTooLarge) {
		return "", err
	}
	kind := definition.KindOf(text)
	one := f.seen[name]
	if !one.same(info) {
		one = seen{}
	}
	one.info, one.kind, one.looked = info, kind, true
	f.remember(name, one)
	return kind, nil
}

// errNotFile is the error of what can't be in a draft.
var errNotFile = errors.New("it is neither a file nor a folder")

// open opens a regular file of the folder, and nothing else: opening a device may do something, and opening a FIFO waits.
func (f *Folder) open(name string) (*os.File, fs.FileInfo, error) {
	info, err := f.root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errNotFile
	}
	in, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = in.Stat(); err == nil && !info.Mode().IsRegular() { // another one by now
		err = errNotFile
	}
	if err != nil {
		return nil, nil, errors.Join(err, in.Close())
	}
	return in, info, nil
}
