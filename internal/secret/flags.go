package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/tool"
)

// Flags are the secrets of a command line. They are a [Source].
type Flags struct {
	given map[string]*origin
}

// ParseFlags parses the values of --secret flags: NAME=env:VARIABLE, NAME=file:PATH, or NAME=- for stdin, which at most one secret
// may use. It doesn't read the secrets: each is read when it is first needed, and then kept.
//
// Every user of a machine can see the arguments of its processes. So ParseFlags refuses a value, and anything that may be a value.
// Its errors don't repeat what may be a value.
func ParseFlags(list []string, stdin io.Reader) (*Flags, error) {
	f := &Flags{given: make(map[string]*origin, len(list))}
	var fromStdin string
	for i, item := range list {
		name, from, ok := strings.Cut(item, "=")
		if !ok || !tool.ValidSecretName(name) {
			return nil, fmt.Errorf("--secret number %d is not NAME=env:VARIABLE, NAME=file:PATH or NAME=- (standard input), where NAME has letters, digits, \".\", \"-\" and \"_\"", i+1)
		}
		if f.given[name] != nil {
			return nil, fmt.Errorf("--secret %s is given twice", name)
		}
		o, err := parseOrigin(from, stdin)
		if err != nil {
			return nil, fmt.Errorf("--secret %s: %w", name, err)
		}
		if o.kind == originStdin {
			if fromStdin != "" {
				return nil, fmt.Errorf("--secret %s and --secret %s both read standard input; give one of them as env:VARIABLE or file:PATH", fromStdin, name)
			}
			fromStdin = name
		}
		f.given[name] = o
	}
	return f, nil
}

// Missing returns an error that joins everything that is missing: files, and variables that aren't set or are empty. It doesn't
// read the secrets.
func (f *Flags) Missing() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(f.given)) {
		if err := f.given[name].missing(); err != nil {
			errs = append(errs, fmt.Errorf("--secret %s=%s: %w", name, f.given[name], err))
		}
	}
	return errors.Join(errs...)
}

// Names returns the names of the secrets, sorted.
func (f *Flags) Names() []string { return slices.Sorted(maps.Keys(f.given)) }

// Get implements [Source].
func (f *Flags) Get(ctx context.Context, name string) ([]byte, error) {
	o := f.given[name]
	if o == nil {
		return nil, &NotFoundError{Name: name, Searched: []string{"--secret flags"}}
	}
	value, err := o.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("--secret %s=%s: %w", name, o, err)
	}
	return value, nil
}

// ReadFrom reads a value from env:VARIABLE, file:PATH or - (stdin), as in [ParseFlags].
func ReadFrom(ctx context.Context, from string, stdin io.Reader) ([]byte, error) {
	o, err := parseOrigin(from, stdin)
	if err != nil {
		return nil, err
	}
	value, err := o.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o, err)
	}
	return value, nil
}

// errLiteral is the error for a value on the command line.
var errLiteral = errors.New("a value can't be on the command line, where every user of this machine can see it in the list of processes; write env:VARIABLE, file:PATH or - (standard input) instead")
