package cli

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/tooltest"
)

const (
	// watchInterval is how often the files are looked at. That works on every system, and is cheap for so few files.
	watchInterval = 500 * time.Millisecond
	// maxWatched is the maximum number of files that are looked at.
	maxWatched = 10_000
)

// watching runs the tests, and again whenever a file changes, until it is interrupted.
func (f *testFlags) watching(ctx context.Context, s streams, paths []string, pattern *regexp.Regexp, r *tooltest.Tester) error {
	for {
		before := f.stamps(paths)
		if _, err := f.once(ctx, s, paths, pattern, r); err != nil {
			fmt.Fprintf(s.err, "mayfly: %v\n", err) // the next change may fix it
		}
		fmt.Fprintln(s.err, "mayfly: waiting for a change (Ctrl-C ends)")
		for maps.Equal(before, f.stamps(paths)) {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(watchInterval):
			}
		}
	}
}

// stamp is what tells that a file has changed.
type stamp struct {
	size int64
	time int64
}

// stamps returns the stamps of all files in the folders of the tests and of their tools, and below those.
func (f *testFlags) stamps(paths []string) map[string]stamp {
	out := map[string]stamp{}
	for _, dir := range watchedFolders(paths) {
		// What can't be read isn't watched.
		_ = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return nil //nolint:nilerr // see above
			case len(out) >= maxWatched:
				return filepath.SkipAll
			case d.IsDir() && file != dir && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
				return filepath.SkipDir
			case d.IsDir():
				return nil
			}
			if info, err := d.Info(); err == nil {
				out[file] = stamp{info.Size(), info.ModTime().UnixNano()}
			}
			return nil
		})
	}
	return out
}

func watchedFolders(paths []string) []string {
	folders := map[string]bool{}
	if len(paths) == 0 {
		paths = []string{"."}
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			folders[path] = true
		} else {
			folders[filepath.Dir(path)] = true
		}
	}
	files, err := findTests(paths)
	if err != nil {
		files = nil // there may be some after a change
	}
	for _, file := range files {
		suite, err := loadSuite(file)
		if err != nil || suite.Tool == nil {
			continue
		}
		if t, err := suite.LoadTool(); err == nil && t.Source.Dir != "" {
			folders[t.Source.Dir] = true
		}
	}
	var out []string
	for dir := range folders {
		out = append(out, dir)
	}
	return out
}
