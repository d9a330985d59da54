package tool

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
	"go.yaml.in/yaml/v3"
)

// Load reads the definition in a file. It names a definition without a name after its file, and accepts one without an image;
// see [Tool.Runnable]. The error is a *[shape.Error] if the definition is wrong, a *[WorkflowError] if the file contains a
// workflow, and wraps the system's error if the file can't be read.
func Load(file string) (*Tool, error) {
	data, err := shape.ReadFile(file, "tool")
	if err != nil {
		return nil, err
	}
	t, err := Parse(file, data)
	if err != nil {
		return nil, err
	}
	t.Source.Dir = filepath.Dir(file)
	return t, nil
}

// Parse reads a definition from data. name is the file's name in errors, and names a tool that has no name; "-" stands for
// standard input. See [Load] for the errors.
func Parse(name string, data []byte) (*Tool, error) {
	d, root := FormatOf(data).Open(name, data)
	if root == nil {
		return nil, d.Err()
	}
	if key := WorkflowKey(root); key != nil {
		return nil, &WorkflowError{Position: d.Position(key), Key: shape.Resolve(key).Value}
	}
	return Decode(d, name, root)
}

// FormatOf returns the format of tools and workflows for data. It allows a graph of 10,000 steps if a line begins like the
// key of a workflow. This only decides how much may be parsed; the parser finds out what the file is.
func FormatOf(data []byte) shape.Format {
	f := shape.Format{
		Bounds: shape.SmallBounds(), Foreign: ForeignFile,
		Empty:        "a tool needs at least an image",
		TooLarge:     "put long scripts in a file beside it: script: {file: NAME}",
		TooManyParts: `write long text as a block ("script: |"), or put it in a file beside this one`,
	}
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, []byte("workflow:")) || bytes.HasPrefix(line, []byte("parallel_tools:")) {
			f.Bounds = shape.LargeBounds()
			break
		}
	}
	return f
}

// Decode reads a file's document as a tool. name is the file's name.
func Decode(d *shape.Decoder, name string, root *yaml.Node) (*Tool, error) {
	t, _ := Shape().Read(d, root, "a tool")
	if err := d.Err(); err != nil {
		return nil, err
	}
	at := d.Position(root)
	t.Source = Source{Path: at.File, Position: at}
	if t.Name == "" {
		t.Name = NameOf(name)
	}
	return &t, nil
}

// WorkflowKey returns the key that makes a file a workflow, or nil.
func WorkflowKey(root *yaml.Node) *yaml.Node { return shape.KeyOf(root, "workflow", "parallel_tools") }

// NameOf derives a tool's name from its file's: the base name without extension, or the folder's for NAME/tool.yaml, the
// layout of folders of tools. Hyphens replace the characters that a name can't have.
func NameOf(file string) string {
	if file == "-" {
		return "stdin"
	}
	slashed := strings.ReplaceAll(filepath.ToSlash(file), `\`, "/")
	base := strings.TrimSuffix(path.Base(slashed), path.Ext(slashed))
	if dir := path.Base(path.Dir(slashed)); base == "tool" && dir != "." && dir != "/" && dir != ".." {
		base = dir
	}
	var b strings.Builder
	for _, r := range base {
		if r >= 0x80 || !shape.MadeOf(string(r), "_-") {
			r = '-'
		}
		if b.Len() < 63 {
			b.WriteRune(r)
		}
	}
	if name := strings.Trim(b.String(), "-"); name != "" {
		return name
	}
	return "tool"
}

// Runnable returns a *[shape.Error] that says why the tool can't be run as it is, or nil. A tool needs no command: without
// one the image's own runs.
func (t *Tool) Runnable() error {
	if t.Image == "" {
		return shape.NewError([]shape.Problem{{
			Position: t.Source.Position,
			Text:     fmt.Sprintf("tool %s has no image to run in", shape.Quote(t.Name)),
			Hint:     "add image: NAME:TAG",
		}})
	}
	return nil
}

// WorkflowError is the error of a file that contains a workflow where a tool was expected. The file may be valid: a caller
// that knows workflows can pass the data to their parser.
type WorkflowError struct {
	shape.Position
	// Key is the top-level key that makes the file a workflow: "workflow" or "parallel_tools".
	Key string
}

// Error says what the file is and what to do with it.
func (e *WorkflowError) Error() string {
	return fmt.Sprintf("%s: %s", e.Position, e.Problem().Text)
}

// Problem returns the error with a separate position; see [shape.Problems].
func (e *WorkflowError) Problem() shape.Problem {
	return shape.Problem{Position: e.Position, Text: fmt.Sprintf("this is a workflow (it has the key %q), not a tool", e.Key)}
}
