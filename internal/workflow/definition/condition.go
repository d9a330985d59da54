package definition

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// Condition says when a step runs: a CEL expression over references.
type Condition struct {
	// Text is the expression as written.
	Text string
	// Expression is Text with a variable in place of each reference, padded to its length, so that columns are the same in
	// both. Values are bound to the variables and never become part of the expression.
	Expression string
	// References are the references that the variables stand for: Variable(i) stands for References[i].
	References []Reference
	// Functions has those of success, failure and always that the expression calls.
	Functions map[string]bool
	Position  shape.Position
	// Offset is the number of columns between Position and the first line of Text; negative if the columns of Text aren't
	// those of the file.
	Offset int
}

// Variable returns the name of the variable that stands for the i-th reference of a condition.
func Variable(i int) string { return fmt.Sprintf("_%d", i) }

// maxCondition is the largest size of an expression in bytes. References have at least six characters, so Variable always
// fits in their place.
const maxCondition = 4096

// celToken matches what can hide a reference or a call from a reader of CEL: string literals (raw, bytes, triple-quoted) and
// comments. It also matches references and identifiers (the CEL specification, "Syntax").
var celToken = lazyregexp.New(`(?s)` +
	`(?:[rRbB]{1,2})?(?:""".*?"""|'''.*?''')` +
	`|[bB]?[rR][bB]?(?:"[^"\n]*"|'[^'\n]*')` +
	`|[bB]?(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')` +
	`|//[^\n]*` +
	`|\$\{` +
	`|[A-Za-z_][A-Za-z0-9_]*`)

// celOperators maps operators of other languages, in any case, to those of CEL.
var celOperators = map[string]string{"and": "&&", "or": "||", "not": "!", "is": `==, or != for "is not"`}

// parseCondition parses a condition. It doesn't check that the expression is CEL; the evaluator does.
func parseCondition(s string) (c Condition, wrong, hint string) {
	switch {
	case strings.TrimSpace(s) == "":
		return c, "is empty", "leave the key out to run the step whenever those before it succeeded"
	case len(s) > maxCondition:
		return c, fmt.Sprintf("is longer than %d bytes", maxCondition), "have a step compute it"
	}
	c = Condition{Text: s, Functions: map[string]bool{}}
	var out strings.Builder
	rest := s
	for rest != "" {
		at := celToken().FindStringIndex(rest)
		if at == nil {
			break
		}
		out.WriteString(rest[:at[0]])
		token := rest[at[0]:at[1]]
		switch {
		case token == "${":
			ref, length, wrong, hint := parseReference(rest[at[0]:])
			if wrong != "" {
				return c, wrong, hint
			}
			name := Variable(len(c.References))
			c.References = append(c.References, ref)
			out.WriteString(name)
			out.WriteString(strings.Repeat(" ", max(0, utf8.RuneCountInString(rest[at[0]:at[0]+length])-len(name))))
			rest = rest[at[0]+length:]
			continue
		case strings.ContainsAny(token[:1], `"'`) || strings.ContainsAny(token[len(token)-1:], `"'`):
			if strings.Contains(token, "${") {
				return c, "has a reference inside quotes, where it is only text", "leave the quotes out: a reference is already a value"
			}
		case token == "success" || token == "failure" || token == "always":
			if strings.HasPrefix(strings.TrimLeft(rest[at[1]:], " \t\n"), "(") {
				c.Functions[token] = true
			}
		case celOperators[strings.ToLower(token)] != "" && !strings.HasSuffix(out.String(), "."):
			return c, fmt.Sprintf("uses %s, which CEL doesn't have", shape.Quote(token)), "write " + celOperators[strings.ToLower(token)]
		case len(token) > 1 && token[0] == '_' && strings.Trim(token[1:], "0123456789") == "":
			return c, fmt.Sprintf("uses the name %s, which stands for a reference", shape.Quote(token)), "choose another name"
		}
		out.WriteString(token)
		rest = rest[at[1]:]
	}
	out.WriteString(rest)
	c.Expression = out.String()
	wrong, hint = c.checkStatuses()
	return c, wrong, hint
}

// statusComparison matches the comparison of a variable with a text, in either order, if both are whole operands.
var statusComparison = lazyregexp.New(`(?:^|[(!&|?:,[]) *(?:_([0-9]+) *[=!]= *["']([^"'\\]*)["']|["']([^"'\\]*)["'] *[=!]= *_([0-9]+)) *(?:$|[)&|?:,\]])`)

// checkStatuses refuses a comparison of a step's status with a text that is not a status: the result would always be the
// same, and the step would be skipped silently.
func (c *Condition) checkStatuses() (wrong, hint string) {
	for _, m := range statusComparison().FindAllStringSubmatch(c.Expression, -1) {
		i, err := strconv.Atoi(m[1] + m[4])
		if word := m[2] + m[3]; err == nil && word != "" && i < len(c.References) && c.References[i].From == FromStep && c.References[i].Name == FieldStatus && !slices.Contains(States(), word) {
			return fmt.Sprintf("compares a status with %s, which is not a status", shape.Quote(word)), "the statuses are " + strings.Join(States(), ", ")
		}
	}
	return "", ""
}

// States returns the final states of a run (package run).
func States() []string {
	return []string{"succeeded", "failed", "timed_out", "cancelled", "out_of_memory", "denied", "error", "lost", "skipped"}
}
