// Package lazyregexp has regular expressions that are compiled when they are first used, so that the start of mayfly doesn't
// wait for those that a command needs only for some files, or none.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns the regular expression, which is compiled at the first call. It panics then if expr is none.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
