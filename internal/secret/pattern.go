package secret

import (
	"regexp"
	"sync"
)

// pattern returns a function that compiles an expression at its first call. Most
// runs of mayfly have no secret, and would otherwise wait for the expressions.
func pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
