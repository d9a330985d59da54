package secret

import (
	"regexp"
	"sync"
)

// pattern compiles an expression when it is used first: most runs of mayfly have
// no secret, and all would wait for it.
func pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
