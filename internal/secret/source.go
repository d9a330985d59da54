package secret

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// MaxValueBytes is the size that a value may have, as in Kubernetes.
const MaxValueBytes = 1 << 20

// Source is where secrets come from.
//
// Get returns the value of a secret, byte for byte, in memory that is the caller's alone: the caller may wipe it. It
// may be called any number of times, by any number of goroutines, and gives the same value each time unless the secret
// is changed meanwhile. There is nothing to close. Its error is a *NotFoundError if the source has no secret of the
// name; any other error means that it has one which can't be read, or that it can't tell. An error never has a value
// in its text.
type Source interface {
	Get(ctx context.Context, name string) ([]byte, error)
}

// NotFoundError is a secret that no source has. errors.Is matches it with fs.ErrNotExist.
type NotFoundError struct {
	Name     string
	Searched []string // where it was looked for, for people
	Remedy   string   // what to do about it, for people; "" suggests mayfly secret set
}

func (e *NotFoundError) Error() string {
	where := "nowhere"
	if len(e.Searched) > 0 {
		where = strings.Join(e.Searched, ", ")
	}
	return fmt.Sprintf("secret %q not found; looked in: %s; %s", e.Name, where, cmp.Or(e.Remedy, "set it with: mayfly secret set "+e.Name))
}

// Is says that the error is one of absence.
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// Chain asks sources in order; the first that has the secret gives it. A source that fails otherwise than by not
// having it ends the search: a later one might have another secret of the same name.
type Chain []Source

// Get is Source's. The error of an absent secret names the places of all sources.
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
