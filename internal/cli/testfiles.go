package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// findTests lists the files of tests that the command line names, each once: files as they are, and those below folders,
// which another user must not be able to have put there.
func findTests(paths []string) ([]string, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var files []string
	var refused []error
	add := func(file string) {
		if !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("tests %s can't be read: %w", path, shape.WithoutCall(err))
		}
		if !info.IsDir() {
			add(filepath.Clean(path))
			continue
		}
		below, err := filesBelow(path, definition.IsTestFile)
		if err != nil {
			return nil, fmt.Errorf("tests below %s can't be read: %w", path, err)
		}
		if len(below) == 0 {
			return nil, fmt.Errorf("there are no tests below %s; name test files NAME_test.yaml, NAME.test.yaml or tests.yaml", path)
		}
		for _, file := range below {
			if err := ownership.CheckBelow(path, file); err != nil {
				refused = append(refused, err)
				continue
			}
			add(file)
		}
	}
	return files, errors.Join(refused...)
}

// unnamedTests lists the files below folders that have tests, but not the name of a file of tests.
func unnamedTests(paths []string) []string {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var files []string
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			continue
		}
		below, _ := filesBelow(path, func(file string) bool { // findTests has reported what can't be read
			ext := filepath.Ext(file)
			return (ext == ".yaml" || ext == ".yml") && strings.Contains(strings.ToLower(file), "test") && !definition.IsTestFile(file) && hasTests(file)
		})
		files = append(files, below...)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// hasTests reports whether a file has what a file of tests has to have at its top.
func hasTests(file string) bool {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxDefinitionBytes {
		return false
	}
	data, err := os.ReadFile(file)
	return err == nil && hasKey(data, "tests") && (hasKey(data, "tool") || hasKey(data, "workflow"))
}

// hasKey reports whether a line of YAML begins with a key.
func hasKey(data []byte, key string) bool {
	return bytes.HasPrefix(data, []byte(key+":")) || bytes.Contains(data, []byte("\n"+key+":"))
}

// filesBelow lists the wanted files below a folder. It leaves out hidden folders and those of packages, and doesn't follow links
// to folders.
func filesBelow(path string, wanted func(file string) bool) (files []string, err error) {
	err = filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && file == path:
			return err
		case err != nil:
			return nil //nolint:nilerr // what can't be read is left out
		case d.IsDir() && file != path && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "vendor"):
			return filepath.SkipDir
		case !d.IsDir() && wanted(file):
			files = append(files, file)
		}
		return nil
	})
	return files, err
}
