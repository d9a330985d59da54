package store

import (
	"context"
	"time"
)

// Access has the tokens. The methods may be called from several goroutines.
type Access interface {
	// AddToken keeps a token. The error is ErrExists if its name is taken in the project.
	AddToken(ctx context.Context, t Token) error
	// Token finds a token that hasn't expired by the hash of its text. The error is ErrNotFound.
	Token(ctx context.Context, hash []byte) (Token, error)
	// Tokens returns the tokens of a project, by name; those for all projects with "".
	Tokens(ctx context.Context, project string, p Page) ([]Token, error)
	// RemoveToken ends a token. The error is ErrNotFound.
	RemoveToken(ctx context.Context, project, name string) error
}

// Token is the right to use the API.
type Token struct {
	Hash    []byte // SHA-256 of the token's text, which nobody keeps
	Name    string
	Project string // the project that it is for; empty for all
	Role    string
	Pool    string // for a runner: the pool that it serves
	Created time.Time
	Expires time.Time // zero for never
}
