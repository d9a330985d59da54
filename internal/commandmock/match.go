package commandmock

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/suite"
)

// Verdict says which mock answers a call.
type Verdict struct {
	// Mock is the index of that mock, or -1 if none answers.
	Mock int
	// Nearest is the index of the mock of the same command that differs least from the call, or -1 if there is none.
	// Differences says what keeps it from answering.
	Nearest     int
	Differences []string
}

// Match finds the first mock that answers a call. used has the number of calls that each mock has answered.
func Match(mocks []suite.CommandMock, used []int, call *Call) Verdict {
	v := Verdict{Mock: -1, Nearest: -1}
	best := 0.0
	for i := range mocks {
		m := &mocks[i]
		if m.Command != call.Command {
			continue
		}
		weight, differences := 0.0, Differences(m.Args, m.Stdin, call)
		if m.Args != nil {
			weight = distance(m.Args, call.Args)
		}
		if m.Stdin.Mismatch(call.Input()) != "" {
			weight += 0.1
		}
		if m.Times != nil && used[i] >= *m.Times {
			weight += 0.1
			differences = append(differences, fmt.Sprintf("its times: it has answered %d", *m.Times))
		}
		if len(differences) == 0 {
			return Verdict{Mock: i, Nearest: i}
		}
		if v.Nearest < 0 || weight < best {
			v.Nearest, v.Differences, best = i, differences, weight
		}
	}
	return v
}

// Problem says that a call has no mock, and how the nearest one differs.
func (v Verdict) Problem(mocks []suite.CommandMock, call *Call) string {
	text := call.String() + " has no mock"
	if v.Nearest < 0 {
		return text
	}
	return fmt.Sprintf("%s; the nearest, %s, differs in %s", text, mocks[v.Nearest].Label, strings.Join(v.Differences, " and "))
}

// Differences says how a call differs from args and stdin. The list is empty if the call matches.
func Differences(args *suite.ArgsMatch, stdin *suite.Matcher, call *Call) []string {
	var out []string
	if why := compareArgs(args, call.Args); why != "" {
		out = append(out, "args: "+why)
	}
	if why := stdin.Mismatch(call.Input()); why != "" {
		out = append(out, "stdin: it "+why)
	}
	return out
}

// compareArgs says which argument differs first, or "".
func compareArgs(m *suite.ArgsMatch, args []string) string {
	if m == nil {
		return ""
	}
	for i := range m.Words {
		if i >= len(args) {
			return fmt.Sprintf("word %d, %s, is missing", i+1, quoted(m.Words[i].String()))
		}
		if !m.Words[i].Match(args[i]) {
			return fmt.Sprintf("word %d: %s", i+1, quoted(m.Words[i].String()))
		}
	}
	if extra := len(args) - len(m.Words); extra > 0 && !m.Prefix {
		return fmt.Sprintf("%d words more than the %d of the mock", extra, len(m.Words))
	}
	return ""
}

// distance returns the share of words that differ, from 0 to 1.
func distance(m *suite.ArgsMatch, args []string) float64 {
	most := max(len(m.Words), 1)
	if !m.Prefix {
		most = max(most, len(args))
	}
	same := 0
	for i := range m.Words {
		if i < len(args) && m.Words[i].Match(args[i]) {
			same++
		}
	}
	return 1 - float64(same)/float64(most)
}
