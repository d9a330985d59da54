package local

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/lazyregexp"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// builtins are commands of shells that images don't have as programs, because a program couldn't do the same (POSIX.1-2024,
// XCU 2.15, and bash(1)).
var builtins = []string{
	".", "alias", "cd", "declare", "eval", "exec", "export", "let", "local", "popd", "pushd", "read", "readonly", "set", "shift", "shopt",
	"source", "trap", "type", "ulimit", "umask", "unset", "wait",
}

// withAdvice adds advice to the error of a command that isn't found, if its first word is meant for a shell.
func withAdvice(t *tool.Tool, err error) error {
	var missing *engine.CommandError
	if !errors.As(err, &missing) || !missing.NotFound || t.Command == nil || len(t.Command.Argv) == 0 || t.Command.Argv[0] != missing.Path {
		return err
	}
	if advice := commandAdvice(t.Command.Argv); advice != "" {
		return fmt.Errorf("%w; %s", err, advice)
	}
	return err
}

// plainWords matches words that a shell and a YAML list read in the same way.
var plainWords = lazyregexp.New(`^[A-Za-z0-9_./+-][A-Za-z0-9_./+=-]*(?: [A-Za-z0-9_./+-][A-Za-z0-9_./+=-]*)*$`)

func commandAdvice(argv []string) string {
	const most = 60 // characters of a command that a message repeats
	line := strings.Join(argv, " ")
	plain := len(line) <= most && plainWords().MatchString(line) && !slices.ContainsFunc(argv[1:], func(word string) bool { return strings.Contains(word, " ") })
	if slices.Contains(builtins, argv[0]) {
		example := argv[0] + " …"
		if plain {
			example = line + " && …"
		}
		return fmt.Sprintf("%q is built into shells and isn't a program; write command: '%s' for a shell", argv[0], example)
	}
	if !strings.ContainsAny(argv[0], " \t\n") {
		return ""
	}
	advice := "the first word of a list is only the program; write "
	switch {
	case plain:
		return fmt.Sprintf("%scommand: '%s' for a shell, or [%s]", advice, line, strings.ReplaceAll(line, " ", ", "))
	case len(argv) == 1 && len(line) <= most && !strings.ContainsAny(line, "\t\n"):
		return fmt.Sprintf("%scommand: '%s' for a shell", advice, strings.ReplaceAll(line, "'", "''"))
	}
	return advice + "the command as one text for a shell"
}
