package cli

import (
	"errors"
	"os"
	"slices"

	"github.com/mayfly-run/mayfly/internal/ownership"
)

// vet refuses definitions that another user could have planted where a search for their names finds them, and returns what it
// checked. It checks an ordinary user's before the user namespace is entered, since inside it root's files can't be told from
// those of others. For standard input or a pipe, which can be read only once, it checks where a search would begin.
func vet(name string) (ownership.Vetted, error) {
	if os.Geteuid() == 0 {
		return "", nil // reading it checks the same
	}
	if readOnce(name) {
		return ownership.Vet("."), nil
	}
	_, _, err := loadDefinition(nil, name)
	return ownership.VettedAll, err
}

// vetTests is [vet] for files of tests.
func vetTests(paths []string) (ownership.Vetted, error) {
	if os.Geteuid() == 0 {
		return "", nil
	}
	if slices.ContainsFunc(paths, readOnce) {
		return ownership.Vet("."), nil
	}
	seen := ownership.VettedAll
	files, err := findTests(paths)
	switch {
	case untrusted(err):
		return "", err
	case err != nil:
		seen = ownership.Vet(".") // running them reports the error
	}
	for _, file := range files {
		switch err := validateSuite(file); {
		case untrusted(err):
			return "", err
		case err != nil: // not everything was checked; --record may be about to write what is missing
			seen = ownership.Vet(".")
		}
	}
	return seen, nil
}

// readOnce reports whether a file can be read only once: standard input, or a shell's <(…).
func readOnce(name string) bool {
	if name == "-" {
		return true
	}
	info, err := os.Stat(name)
	return err == nil && !info.IsDir() && !info.Mode().IsRegular()
}

// untrusted reports whether an error is about a file that another user could have put there.
func untrusted(err error) bool {
	var refused *ownership.UntrustedError
	return errors.As(err, &refused)
}
