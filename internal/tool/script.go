package tool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// Interpreter returns the program that runs the script's text, with its arguments; the path of the script comes after them.
// See [Interpreter] for a script that is a file.
func (s *Script) Interpreter() []string { return Interpreter(s.Text) }

// Interpreter reads the #! line of a program as Linux does (execve(2)): it skips white space around the path, and everything
// after it is one argument, including spaces. Unlike the kernel it drops a carriage return at the end of the line, because
// otherwise a script saved on Windows would ask for "/bin/sh\r". Text without the line, or with an empty one, is for /bin/sh
// -e: a tool whose first command fails should fail.
func Interpreter(text string) []string {
	fallback := []string{"/bin/sh", "-e"}
	line, ok := strings.CutPrefix(text, "#!")
	if !ok {
		return fallback
	}
	line, _, _ = strings.Cut(line, "\n")
	line = strings.Trim(strings.TrimSuffix(line, "\r"), " \t")
	if line == "" {
		return fallback
	}
	end := strings.IndexAny(line, " \t")
	if end < 0 {
		return []string{line}
	}
	return []string{line[:end], strings.Trim(line[end:], " \t")}
}

// maxScriptBytes is the largest size of a script file.
const maxScriptBytes = 1 << 20

// ReadFiles reads a script file into the script's text, so that it can be run, and reports files of volumes that are missing. It opens
// files only inside the tool's folder and refuses symbolic links that lead out of it, since the folder may come from a
// stranger's repository.
func (t *Tool) ReadFiles() error {
	problems := slices.Concat(t.readScript(), t.missingFiles())
	if problems == nil {
		return nil
	}
	return shape.NewError(problems)
}

// missingFiles returns a problem for each file or folder of a volume that doesn't exist, or can't be read in the tool's folder.
func (t *Tool) missingFiles() []shape.Problem {
	var problems []shape.Problem
	for _, v := range t.Volumes {
		if v.File == "" || t.Source.Dir == "" {
			continue
		}
		root, err := os.OpenRoot(t.Source.Dir)
		if err == nil {
			_, err = root.Stat(v.File)
			_ = root.Close()
		}
		if err == nil {
			continue
		}
		text := fmt.Sprintf("volume %s: %q can't be read: %v", v.Name, v.File, err)
		if errors.Is(err, fs.ErrNotExist) {
			text = fmt.Sprintf("volume %s: there is no file or folder %q", v.Name, v.File)
		}
		problems = append(problems, shape.Problem{Position: v.Position, Text: text, Hint: "the path is relative to the tool's folder, " + t.Source.Dir})
	}
	return problems
}

func (t *Tool) readScript() []shape.Problem {
	if t.Script == nil || t.Script.File == "" || t.Script.Text != "" {
		return nil
	}
	text, err := shape.ReadInside(t.Source.Dir, t.Script.File, maxScriptBytes)
	if err != nil {
		hint := "save it to a file beside the script"
		if t.Source.Dir != "" {
			hint = "the path is relative to the tool's folder, " + t.Source.Dir
		}
		return []shape.Problem{{Position: t.Script.Position, Text: fmt.Sprintf("script file %q can't be read: %v", t.Script.File, err), Hint: hint}}
	}
	if windowsLines(text) {
		return []shape.Problem{{
			Position: t.Script.Position, Text: fmt.Sprintf("script file %q has Windows line breaks (CR LF), and a shell reads the CR as part of a word", t.Script.File),
			Hint: fmt.Sprintf(`save it with line feeds only: sed -i 's/\r$//' %s`, t.Script.File),
		}}
	}
	if strings.HasPrefix(text, byteOrderMark) {
		return []shape.Problem{{
			Position: t.Script.Position, Text: fmt.Sprintf("script file %q begins with a byte order mark, so its first line isn't read", t.Script.File),
			Hint: fmt.Sprintf(`save it as UTF-8 without one: sed -i '1s/^\xEF\xBB\xBF//' %s`, t.Script.File),
		}}
	}
	t.Script.Text = text
	return nil
}

// byteOrderMark is what some editors write before UTF-8 text. Before a #! it hides the line from the kernel and from
// [Interpreter], and a shell reads it as part of its first word.
const byteOrderMark = "\ufeff"

// windowsLines reports whether a script is for a shell and has Windows line breaks.
func windowsLines(text string) bool {
	shell := slices.ContainsFunc(strings.Fields(strings.Join(Interpreter(text), " ")), func(word string) bool {
		return slices.Contains([]string{"sh", "ash", "bash", "dash", "ksh", "zsh"}, path.Base(word))
	})
	return shell && strings.Contains(text, "\r\n")
}
