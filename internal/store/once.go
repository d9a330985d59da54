package store

import (
	"context"
	"errors"
	"time"
)

// ErrRepeated says that something was made already for the same token and key.
var ErrRepeated = errors.New("it was made already, for the same key")

// AnswersKept is for how long the store knows what was made for a key.
const AnswersKept = 24 * time.Hour

// Answers has the answers to requests that make something and have a key, so that a request may be repeated. The methods may be called
// from several goroutines.
type Answers interface {
	// Answer returns the answer to a token's request with a key. The error is ErrNotFound, also for one that is older than AnswersKept.
	Answer(ctx context.Context, token []byte, key string) (Answer, error)
	// KeepAnswer writes the answer to the request of ctx, for what is made elsewhere than in the store. If there is one, it fails with
	// ErrRepeated.
	KeepAnswer(ctx context.Context) error
	// ForgetAnswers removes those that are older than AnswersKept.
	ForgetAnswers(ctx context.Context) error
}

// Answer is what a request was answered with.
type Answer struct {
	Print []byte // what tells the request from others
	Body  []byte
}

// Once is a request that makes something, and must do so only once. Accept, AcceptWorkflow, AddVersion and AddToken write its answer in
// the transaction in which they make what it asks for. If there is an answer already, they change nothing, and fail with ErrRepeated.
type Once struct {
	Token []byte
	Key   string
	Print []byte
	// Body makes the answer of what was made: for AddVersion a Made, for the others nil. It may be called more than once.
	Body func(made any) ([]byte, error)
	// Repeated is set if something was made already.
	Repeated bool
}

// Made is what AddVersion returns.
type Made struct {
	Version Version
	New     bool
}

type onceKey struct{}

// OnlyOnce returns a context whose creation is made once.
func OnlyOnce(ctx context.Context, o *Once) context.Context {
	return context.WithValue(ctx, onceKey{}, o)
}

// OnceOf returns what a context was made for, or nil.
func OnceOf(ctx context.Context) *Once {
	o, _ := ctx.Value(onceKey{}).(*Once)
	return o
}
