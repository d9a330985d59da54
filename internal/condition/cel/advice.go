package cel

import (
	"strings"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// invalidNumber matches the parser's message for a number that is too large for its type.
var invalidNumber = lazyregexp.New(`^invalid (int|uint|double) literal`)

// overload matches the checker's message for an operation that doesn't exist for two types. For a list it matches the type of the items.
var overload = lazyregexp.New(`^found no matching overload for .* applied to '\((?:list\()?(string|int|uint|double)\)?, (?:list\()?(string|int|uint|double)\)?\)'`)

// advice returns what to write instead, for common mistakes of users who don't know CEL. It returns "" for other messages.
func advice(text string) string {
	if types := overload().FindStringSubmatch(text); types != nil && types[1] != types[2] {
		switch {
		case types[1] == "string" || types[2] == "string":
			return "; one side is text, the other a number: put the number in quotes, or int(…) or double(…) around the text"
		case types[1] == "double" || types[2] == "double":
			return "; one side is a decimal number, the other a whole number: write 5.0 instead of 5, or double(…) around it"
		}
	}
	switch {
	case strings.HasPrefix(text, "token recognition error at: '="):
		return "; two equal signs compare: =="
	case strings.HasPrefix(text, "undeclared reference to '"):
		return `; write ${STEP.OUTPUT} or ${inputs.NAME} for a value, and quotes around a text`
	}
	return ""
}
