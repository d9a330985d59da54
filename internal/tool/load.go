package tool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"
)

// stdinName is what standard input is called in messages.
const stdinName = "<stdin>"

// Load reads the definition in a file. The result is lenient: a definition without a name is named after its file, and
// one without an image loads; see [Tool.Runnable]. The error is an *[Error] where the definition is wrong, a
// *[WorkflowError] where the file holds a workflow, and wraps the system's where the file can't be read.
func Load(file string) (*Tool, error) {
	data, err := readFile(file, "tool")
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

// readFile reads the file of a definition, a tool or something else.
func readFile(file, what string) ([]byte, error) {
	// Without waiting for a FIFO's writer: read then refuses it.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%s %s can't be read: %w", what, file, WithoutCall(err))
	}
	defer f.Close()
	data, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s %s can't be read: %w", what, file, WithoutCall(err))
	}
	return data, nil
}

// read reads a regular file up to just past the largest size allowed, so that Parse can refuse it. A device or a pipe
// could keep a reader waiting for ever.
func read(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("it is a folder; name the file in it")
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return io.ReadAll(io.LimitReader(f, workflowLimits().fileSize+1))
}

// Parse reads a definition from data. name is the file's name in errors, and the tool's where it gives none; "-" stands
// for standard input. See [Load] for the errors.
func Parse(name string, data []byte) (*Tool, error) {
	d, root := open(name, data, limitsOf(data))
	if root == nil {
		return nil, newError(d.problems)
	}
	if w := d.workflow(root); w != nil {
		return nil, w
	}
	return d.tool(name, root)
}

// open parses data to its only document; nil after a problem.
func open(name string, data []byte, l limits) (*decoder, *yaml.Node) {
	if name == "-" {
		name = stdinName
	}
	d := &decoder{file: name, limits: l}
	return d, d.document(data)
}

func (d *decoder) tool(name string, root *yaml.Node) (*Tool, error) {
	t, _ := toolShape().read(d, root, "a tool")
	if len(d.problems) > 0 {
		return nil, newError(d.problems)
	}
	t.Source = Source{Path: d.file, Position: d.position(root)}
	if t.Name == "" {
		t.Name = nameOf(name)
	}
	return &t, nil
}

// workflow recognises a workflow by its top-level keys.
func (d *decoder) workflow(root *yaml.Node) *WorkflowError {
	if key := keyOf(root, "workflow", "parallel_tools"); key != nil {
		return &WorkflowError{Position: d.position(key), Key: resolve(key).Value}
	}
	return nil
}

// keyOf is the first key of an object that has one of these names, or nil.
func keyOf(root *yaml.Node, names ...string) *yaml.Node {
	if root.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if slices.Contains(names, resolve(root.Content[i]).Value) {
			return root.Content[i]
		}
	}
	return nil
}

// nameOf makes a tool's name of its file's: the base name without extension, or the folder's for NAME/tool.yaml, which
// is how folders of tools are laid out. Characters that a name can't have become hyphens.
func nameOf(file string) string {
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
		if r >= 0x80 || !madeOf(string(r), "_-") {
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

// Runnable reports, as an *[Error], why the tool can't be run as it stands, or nil. What to run may be missing: the
// image then says.
func (t *Tool) Runnable() error {
	if t.Image == "" {
		return newError([]Problem{{
			Position: t.Source.Position,
			Text:     fmt.Sprintf("tool %s has no image, so there is nothing to run it in", quote(t.Name)),
			Hint:     "add image: NAME:TAG",
		}})
	}
	return nil
}
