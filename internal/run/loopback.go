package run

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// Loopback addresses as programs write them, with the port that stands behind: "localhost:80", "[::1]:80", "localhost port
// 80", `"localhost" (::1), port 80`, "host='localhost', port=80".
var (
	loopbackName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:^|[^\w.:-])(?:localhost|127\.0\.0\.1|::1)(?:[^\w.-]|$)(?:(?:.{0,20}?(?:port[ =]|:))?(\d{2,5}))?`)
	})
	notConnected = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)refused|(?:could|can)(?:n't|not) connect|failed to connect`)
	})
)

// loopbackAdvice is for a tool that asks its own sandbox for what runs on this machine: by its last lines, or, as it may have
// waited without a word until its time was up, by what it was given.
func loopbackAdvice(t *tool.Tool, spec *engine.Spec, lines []string, timedOut bool) string {
	if spec.Mocks != nil {
		return "" // which answer there, too
	}
	for _, line := range slices.Backward(lines) {
		if m := loopbackName().FindStringSubmatch(line); m != nil && notConnected().MatchString(line) {
			return loopbackText(spec, m[1])
		}
	}
	if !timedOut {
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
		if m := loopbackName().FindStringSubmatch(text); m != nil {
			return loopbackText(spec, m[1])
		}
	}
	return ""
}

func loopbackText(spec *engine.Spec, port string) string {
	text := "localhost is the sandbox itself; a service of this machine is at " + network.HostName
	if slices.ContainsFunc(spec.Network.Egress, func(r network.Rule) bool { return r.Host == network.HostName }) {
		return text
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		port = ""
	}
	return text + fmt.Sprintf(", which network: {egress: [{host: %s, ports: [%s]}]} opens", network.HostName, cmp.Or(port, "PORT"))
}
