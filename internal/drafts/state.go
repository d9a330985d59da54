package drafts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/store"
)

// seen is a file as it was read.
type seen struct {
	info   fs.FileInfo
	digest string // empty if it wasn't computed
	kind   string
	looked bool // kind is set
	parsed any  // an outcome, or nil
}

// outcome is what parsing a file gave.
type outcome[T any] struct {
	value T
	err   error
}

// same says whether a file is as it was.
func (s seen) same(info fs.FileInfo) bool {
	return s.info != nil && os.SameFile(s.info, info) && s.info.Size() == info.Size() && s.info.ModTime().Equal(info.ModTime()) && s.info.Mode() == info.Mode()
}

func (s seen) executable() bool { return s.info.Mode()&0o111 != 0 }

// known is a file as it was read, if it is still the same.
func (f *Folder) known(name string) seen {
	old := f.seen[name]
	if info, err := f.root.Stat(name); err != nil || !old.same(info) {
		return seen{}
	}
	return old
}

// settled is how old a change is before its time tells it from the next one: file systems have clocks that tick slowly.
const settled = 2 * time.Second

// remember keeps what was read of a file, unless it may change once more without another time.
func (f *Folder) remember(name string, one seen) {
	if time.Since(one.info.ModTime()) < settled {
		delete(f.seen, name)
		return
	}
	f.seen[name] = one
}

// mostParsed bounds the texts of the files whose outcomes are kept, in bytes.
const mostParsed = 32 << 20

// parsed returns what parse makes of a file, or what it has made of it before if the file is still the same.
func parsed[T any](f *Folder, name string, parse func(name string, text []byte) (T, error)) (T, error) {
	if old, ok := f.known(name).parsed.(outcome[T]); ok {
		return old.value, old.err
	}
	var out outcome[T]
	in, info, err := f.open(name)
	if err != nil {
		return out.value, err
	}
	defer in.Close()
	text, err := document.Read(in, shape.LargeBounds().FileSize)
	if err != nil {
		return out.value, err
	}
	out.value, out.err = parse(name, text)
	if f.kept += len(text); f.kept > mostParsed {
		f.reread()
	}
	one := f.seen[name]
	if !one.same(info) {
		one = seen{}
	}
	one.info, one.parsed = info, out
	f.remember(name, one)
	return out.value, out.err
}

// reread has all files be read anew.
func (f *Folder) reread() {
	clear(f.seen)
	f.kept = 0
}

// state is the files of a draft, as they are now.
type state struct {
	root       string     // the folder that has them all
	definition string     // in root
	files      []api.File // by their paths in root
	infos      map[string]fs.FileInfo
	named      []string // paths of what only exists for the definition: itself, what it names, and its tests
	changed    time.Time
	problem    string
}

// complain adds the first problem.
func (s *state) complain(format string, args ...any) {
	if s.problem == "" {
		s.problem = fmt.Sprintf(format, args...)
	}
}

// state reads the files of a draft. The error is store.ErrNotFound if the definition is gone.
func (f *Folder) state(name string, all *scan) (*state, error) {
	s := &state{infos: map[string]fs.FileInfo{}}
	paths := f.belong(name, all, s)
	s.root = path.Dir(name)
	for _, p := range paths {
		for !within(s.root, p) {
			s.root = path.Dir(s.root)
		}
	}
	s.definition = s.relative(name)
	size := int64(0)
	for _, p := range paths {
		one, info, err := f.file(p)
		if err != nil && p == name && errors.Is(err, fs.ErrNotExist) {
			return nil, store.ErrNotFound
		}
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				s.complain("%s is left out: %v", p, withoutCall(err))
			}
			continue
		}
		if size += one.Size; size > api.MostBundleBytes || len(s.files) == api.MostBundleFiles {
			s.complain("%s and what follows is left out: the files are more than %d or larger than %d MiB together", p, api.MostBundleFiles, api.MostBundleBytes>>20)
			break
		}
		one.Path = s.relative(p)
		s.files, s.infos[p] = append(s.files, one), info
		if info.ModTime().After(s.changed) {
			s.changed = info.ModTime().UTC()
		}
	}
	slices.SortFunc(s.files, func(x, y api.File) int { return strings.Compare(x.Path, y.Path) })
	if _, ok := s.infos[name]; !ok {
		s.complain("%s can't be read", name)
	}
	return s, nil
}

func (s *state) relative(name string) string {
	if s.root == "." {
		return name
	}
	return strings.TrimPrefix(name, s.root+"/")
}

// paths are those of the files.
func (s *state) paths() []string { return slices.Sorted(maps.Keys(s.infos)) }

// file returns a file of the folder, with its digest.
func (f *Folder) file(name string) (one api.File, info fs.FileInfo, err error) {
	old := f.known(name)
	if old.digest != "" {
		return api.File{Digest: old.digest, Size: old.info.Size(), Executable: old.executable()}, old.info, nil
	}
	in, info, err := f.open(name)
	if err != nil {
		return one, nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if info.Size() > api.MostBundleBytes {
		return one, nil, fmt.Errorf("it is larger than %d MiB", api.MostBundleBytes>>20)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(in, api.MostBundleBytes+1))
	if err != nil {
		return one, nil, err
	}
	if n > api.MostBundleBytes {
		return one, nil, fmt.Errorf("it is larger than %d MiB", api.MostBundleBytes>>20)
	}
	if !old.same(info) {
		old = seen{}
	}
	old.info = info
	one.Size, one.Executable, one.Digest = n, old.executable(), "sha256:"+hex.EncodeToString(sum.Sum(nil))
	old.digest = one.Digest
	if n == info.Size() {
		f.remember(name, old)
	}
	return one, info, nil
}
