package secret

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// MaxValueBytes is the largest size of a value, as in Kubernetes.
const MaxValueBytes = 1 << 20

// Source is a source of secrets.
//
// Get returns the exact value of a secret. The caller owns the bytes, and may wipe them. Get may be called any number of times, by any
// number of goroutines, and returns the same value unless the secret changes. A source needs no Close. The error is a
// *NotFoundError if the source doesn't have the secret. Any other error means that the source has it but can't read it, or
// can't tell. The text of an error never contains a value.
type Source interface {
	Get(ctx context.Context, name string) ([]byte, error)
}

// NotFoundError says that no source has a secret. errors.Is matches it with fs.ErrNotExist.
type NotFoundError struct {
	Name     string
	Searched []string // the places where it was looked for, for users
	Remedy   string   // what to do about it, for users; by default mayfly secret set
}

func (e *NotFoundError) Error() string {
	where := "nowhere"
	if len(e.Searched) > 0 {
		where = strings.Join(e.Searched, ", ")
	}
	return fmt.Sprintf("secret %q not found; looked in: %s; %s", e.Name, where, cmp.Or(e.Remedy, "set it with: mayfly secret set "+e.Name))
}

// Is makes [errors.Is] match fs.ErrNotExist.
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// Chain asks sources in order, and returns the value of the first that has the secret. Any error except a *NotFoundError ends the
// search, since a later source might have another secret with the same name.
type Chain []Source

// Get implements [Source]. Its *NotFoundError names the places of all sources.
func (c Chain) Get(ctx context.Context, name string) ([]byte, error) {
	absent := &NotFoundError{Name: name}
	for _, source := range c {
		value, err := source.Get(ctx, name)
		if err == nil {
			return value, nil
		}
		var here *NotFoundError
		if !errors.As(err, &here) {
			return nil, err
		}
		absent.Searched = append(absent.Searched, here.Searched...)
	}
	return nil, absent
}
