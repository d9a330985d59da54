package tool

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// This file finds text that means something to another program or in another place, but is plain text where it is written.

var (
	// elsewhereReference matches GitHub's ${{ secrets.token }}. {{ name }} and {{.Name}} may be templates that the tool fills in.
	elsewhereReference = lazyregexp.New(`\$\{\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}`)
	// expandedEntry matches a variable that is a whole entry of a list such as PATH.
	expandedEntry  = lazyregexp.New(`(?:^|:)\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})(?:$|:)`)
	outputOfGitHub = lazyregexp.New(`>>\s*"?\$\{?GITHUB_OUTPUT\b`)
)

// elsewhereWarnings returns warnings about texts of a tool that only another program would interpret.
func (t *Tool) elsewhereWarnings() []shape.Problem {
	var found []shape.Problem
	for _, v := range t.Environment {
		if !strings.Contains(v.Value, "$") {
			continue // most values have no "$", and compiling the expressions takes time at each start
		}
		if m := elsewhereReference().FindStringSubmatch(v.Value); m != nil {
			hint := "args set their variables automatically"
			if name, secret := strings.CutPrefix(m[1], "secrets."); secret {
				hint = fmt.Sprintf("a secret is the whole value of a variable: %s: /secrets/%s", v.Name, name)
			}
			found = append(found, shape.Problem{Position: v.Position, Text: fmt.Sprintf("variable %s: %s is plain text here", v.Name, m[0]), Hint: hint})
		} else if m := expandedEntry().FindString(v.Value); m != "" {
			found = append(found, shape.Problem{
				Position: v.Position, Text: fmt.Sprintf("variable %s: %s is plain text here: no shell reads it", v.Name, strings.Trim(m, ":")),
				Hint: fmt.Sprintf("set it in the command or script: export %s=\"%s\"", v.Name, v.Value),
			})
		}
	}
	for _, a := range t.Args {
		if what, owned := ownedVariables[a.Env]; owned && strings.EqualFold(a.Env, a.Name) { // otherwise the author chose it with env
			found = append(found, shape.Problem{
				Position: a.Position, Text: fmt.Sprintf("argument %s arrives as %s, which is %s", shape.Quote(a.Name), a.Env, what),
				Hint: "give it another variable: env: INPUT_" + a.Env,
			})
		}
	}
	if text, at := t.program(); strings.Contains(text, "GITHUB_OUTPUT") && outputOfGitHub().MatchString(text) && !strings.Contains(text, "MAYFLY_OUTPUT") {
		found = append(found, shape.Problem{Position: at, Text: "$GITHUB_OUTPUT exists only on GitHub", Hint: `outputs are written as NAME=value lines: >> "$MAYFLY_OUTPUT"`})
	}
	if s := t.Script; s != nil && s.Text != "" && !strings.HasPrefix(s.Text, "#!") && interpreters[path.Ext(s.File)] != "" {
		found = append(found, shape.Problem{
			Position: s.Position, Text: fmt.Sprintf("script file %s has no #! line, so /bin/sh runs it", shape.Quote(s.File)),
			Hint: "name its interpreter in its first line: #!/usr/bin/env " + interpreters[path.Ext(s.File)],
		})
	}
	return append(found, t.commandWarnings()...)
}

// interpreters maps the extensions of scripts that a shell can't run to their interpreters.
var interpreters = map[string]string{".py": "python3", ".js": "node", ".mjs": "node", ".rb": "ruby", ".pl": "perl", ".php": "php"}

// ownedVariables has the variables that every shell sets, or that decide how programs run (POSIX.1-2017, shell, 2.5.3; ld.so(8)).
var ownedVariables = map[string]string{
	"PATH": "the path where a shell finds programs", "IFS": "how a shell splits words", "PWD": "the shell's working directory", "OLDPWD": "the shell's working directory before",
	"PPID": "set by the shell", "LINENO": "set by the shell",
	"HOME": "the tool's home folder", "LD_PRELOAD": "read by every program", "LD_LIBRARY_PATH": "the path where the loader finds libraries", "BASH_ENV": "a script that bash runs first",
}

// program returns the text that a shell or another interpreter runs, and its position.
func (t *Tool) program() (string, shape.Position) {
	switch {
	case t.Script != nil:
		return t.Script.Text, t.Script.Position
	case t.Command != nil:
		return cmp.Or(t.Command.Shell, strings.Join(t.Command.Argv, "\n")), t.Command.Position
	}
	return "", shape.Position{}
}

// commandWarnings returns warnings about words of a command that have no effect: operators of a shell in a list, and files
// that aren't in the sandbox.
func (t *Tool) commandWarnings() []shape.Problem {
	if t.Command == nil {
		return nil
	}
	at := t.Command.Position
	for _, word := range t.Command.Argv {
		if slices.Contains([]string{"&&", "||", ">>", "2>&1"}, word) {
			return []shape.Problem{{Position: at, Text: fmt.Sprintf("no shell reads the list of command, so %s is an argument", shape.Quote(word)), Hint: "write the command as one text: command: A && B"}}
		}
	}
	words := t.Command.Argv
	if t.Command.Shell != "" {
		words = strings.Fields(t.Command.Shell)
	}
	for _, word := range words {
		name := path.Clean(word)
		// Words without "./" may be files of the image, which is often built from the same folder.
		if !strings.HasPrefix(word, "./") || t.Source.Dir == "" || t.Volumes != nil || !filepath.IsLocal(name) || !shape.IsFile(filepath.Join(t.Source.Dir, name)) {
			continue
		}
		return []shape.Problem{{
			Position: at, Text: fmt.Sprintf("the file %s of this folder isn't in the sandbox", shape.Quote(name)),
			Hint: fmt.Sprintf("run it with script: {file: %s}, or mount it: volumes: [{name: NAME, file: %s, mount_path: /workspace/%s}]", name, name, path.Base(name)),
		}}
	}
	return nil
}

// Mounts reports whether a volume of the tool is mounted at a path or above it.
func (t *Tool) Mounts(file string) bool {
	return t != nil && slices.ContainsFunc(t.Volumes, func(v Volume) bool { return file == v.MountPath || strings.HasPrefix(file, v.MountPath+"/") })
}
