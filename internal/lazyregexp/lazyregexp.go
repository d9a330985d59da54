// Package lazyregexp compiles regular expressions when they are first used. mayfly starts faster, since most commands need few of
// its expressions.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that compiles expr at its first call and always returns the same result. It panics if expr isn't valid.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
