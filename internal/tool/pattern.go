package tool

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first used, so that starting mayfly doesn't wait for those
// that a command needs only for some files, or none.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
