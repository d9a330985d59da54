package store

import (
	"context"
	"time"
)

// Sessions has the sessions that browsers make from tokens. A session ends with its token. The methods may be called from several goroutines.
type Sessions interface {
	// AddSession keeps a session of a token for a while. The token then has at most most sessions: those that were unused for longest end.
	// The error is ErrNotFound if the token isn't there.
	AddSession(ctx context.Context, hash, token []byte, within time.Duration, most int) (Session, error)
	// Session finds a session by the hash of its text, unless it was unused for longer than idle. The error is ErrNotFound, also if it or its
	// token has expired or was removed.
	Session(ctx context.Context, hash []byte, idle time.Duration) (Session, error)
	// UseSession says that a session is in use.
	UseSession(ctx context.Context, hash []byte) error
	// RemoveSession ends a session of a token. The error is ErrNotFound.
	RemoveSession(ctx context.Context, hash, token []byte) error
	// ForgetSessions removes those that Session doesn't find any longer.
	ForgetSessions(ctx context.Context, idle time.Duration) error
}

// Session is the right to use the API as a token does.
type Session struct {
	Hash    []byte // SHA-256 of the session's text, which only the browser has
	Token   Token
	Expires time.Time     // however often it is used
	Unused  time.Duration // since it was used last, by the database's clock
}
