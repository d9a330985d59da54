package run

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// Loopback addresses as programs write them, with the port that stands behind: "localhost:80", "[::1]:80", "localhost port
// 80", `"localhost" (::1), port 80`, "localhost (localhost)|127.0.0.1|:80".
var (
	loopbackName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:^|[^\w.-])(?:localhost|127\.0\.0\.1|::1)` +
			`(?:\]?:(\d{2,5})\b|[^\w.-].{0,30}?(?:\bport\W{1,3}|127\.0\.0\.1:|\|:)(\d{2,5})\b|[^\w.-]|\.?$|\.\s)`)
	})
	notConnected = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)refused|(?:could|can)(?:n't| ?not) connect|failed to connect`)
	})
)

// loopbackAdvice is for a tool that looks in its own sandbox for a service of this machine, as its last lines say.
func loopbackAdvice(spec *engine.Spec, lines []string) string {
	if spec.Mocks != nil {
		return "" // mocks answer on localhost too
	}
	for _, line := range slices.Backward(lines) {
		m := loopbackName().FindStringSubmatch(line)
		// kubectl says so where it has no kubeconfig.
		if m != nil && notConnected().MatchString(line) && !strings.Contains(line, "did you specify the right host or port") {
			return loopbackText(spec, m[1]+m[2])
		}
	}
	return ""
}

// waitedForLoopback is [loopbackAdvice] for a tool whose time is up and that may have waited without a word, by the URLs and
// addresses that it was given.
func waitedForLoopback(t *tool.Tool, spec *engine.Spec) string {
	if spec.Mocks != nil {
		return ""
	}
	given := slices.Clone(spec.Args)
	for _, v := range spec.Environment {
		given = append(given, v.Value)
	}
	if t.Script != nil {
		given = append(given, t.Script.Text)
	}
	for _, text := range given {
		if m := loopbackName().FindStringSubmatch(text); m != nil && m[1] != "" {
			return "if it waits for localhost: " + loopbackText(spec, m[1])
		}
	}
	return ""
}

func loopbackText(spec *engine.Spec, port string) string {
	text := "localhost is the sandbox itself; a service on this machine is at " + network.HostName
	if slices.ContainsFunc(spec.Network.Egress, func(r network.Rule) bool { return r.Host == network.HostName }) {
		return text
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		port = ""
	}
	c := engine.Connection{Rule: "mode " + string(spec.Network.Mode), Suggest: fmt.Sprintf("{host: %s, ports: [%s]}", network.HostName, cmp.Or(port, "PORT"))}
	return text + "; " + c.Remedy()
}
