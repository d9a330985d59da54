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

// Load reads the definition in a file. The result is lenient: a definition without a name is named after its file, and
// one without an image loads; see [Tool.Runnable]. The error is an *[shape.Error] where the definition is wrong, a
// *[WorkflowError] where the file holds a workflow, and wraps the system's where the file can't be read.
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

// Parse reads a definition from data. name is the file's name in errors, and the tool's where it gives none; "-" stands
// for standard input. See [Load] for the errors.
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

// FormatOf is the format of tools and workflows. It has room for a graph of 10,000 steps where a line begins as one of a workflow
// would. What the file is, the parser says; this decides how much of it may be parsed.
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

// Decode reads the tool that is the document of a file.
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

// WorkflowKey is the key that makes a workflow of a file, or nil.
func WorkflowKey(root *yaml.Node) *yaml.Node { return shape.KeyOf(root, "workflow", "parallel_tools") }

// NameOf makes a tool's name of its file's: the base name without extension, or the folder's for NAME/tool.yaml, which
// is how folders of tools are laid out. Characters that a name can't have become hyphens.
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

// Runnable reports, as an *[shape.Error], why the tool can't be run as it stands, or nil. What to run may be missing: the
// image then says.
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

// WorkflowError says that a file holds a workflow where a tool was expected. It is not a fault of the file: whoever
// understands workflows can take the data to their own parser.
type WorkflowError struct {
	shape.Position
	// Key is the top-level key that gave it away: "workflow" or "parallel_tools".
	Key string
}

// Error says what the file is and what to do with it.
func (e *WorkflowError) Error() string {
	return fmt.Sprintf("%s: %s", e.Position, e.Problem().Text)
}

// Problem is the error with its place apart; see [shape.Problems].
func (e *WorkflowError) Problem() shape.Problem {
	return shape.Problem{Position: e.Position, Text: fmt.Sprintf("this is a workflow (it has the key %q), not a tool", e.Key)}
}
