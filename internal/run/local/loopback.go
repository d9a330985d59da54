package local

import (
	"strings"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/lazyregexp"
	"github.com/mayfly-run/mayfly/internal/network"
)

// failedToConnect matches a client's message about a failed connection to a loopback address, with or without a port after it.
var failedToConnect = lazyregexp.New(`(?i)` + refusedWords + `.*` + loopbackWords + `|` + loopbackWords + `.*` + refusedWords)

const (
	loopbackWords = `(?:^|[^\w.-])(?:localhost|127\.0\.0\.1|0\.0\.0\.0|::1)(?:[^\w.-]|\.?$)`
	refusedWords  = `(?:connection refused|econnrefused|(?:could|can)(?:n't| ?not) connect|failed to connect to)`
)

// loopbackAdvice returns advice for a tool that, according to its last line, looks in its own sandbox for a service of this machine.
func loopbackAdvice(spec *engine.Spec, lines []string) string {
	// Mocks answer on localhost too. kubectl connects to localhost if it has no kubeconfig.
	if last := lines[len(lines)-1]; spec.Mocks == nil && failedToConnect().MatchString(last) && !strings.Contains(last, "did you specify the right host or port") {
		return "localhost is the sandbox itself; this machine is " + network.HostName + ", which a rule of network.egress opens"
	}
	return ""
}
