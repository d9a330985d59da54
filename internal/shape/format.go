package shape

import (
	"go.yaml.in/yaml/v3"
)

// Format is a kind of file: how much of it is read, and what is said where a file isn't one.
type Format struct {
	Bounds Bounds
	// MayBeEmpty says that a file without a document is one without keys.
	MayBeEmpty bool
	// Empty, TooLarge and TooManyParts are the hints for such files.
	Empty, TooLarge, TooManyParts string
	// Foreign, unless nil, says what a file of another program is, and what to do with it. root is nil where the file isn't YAML.
	Foreign func(lines []string, root *yaml.Node) (wrong, hint string)
}

// Parse reads data as one document that a shape takes; what is the document's name in messages, and name the file's. The
// error is an *[Error].
func Parse[V any](f Format, name string, data []byte, s Shape[V], what string) (V, error) {
	var v, none V
	d, root := f.Open(name, data)
	if root != nil {
		v, _ = s.Read(d, root, what)
	}
	if err := d.Err(); err != nil {
		return none, err
	}
	return v, nil
}

// Open parses data to its only document, which is nil after a problem. name is the file's name in messages; "-" stands for
// standard input.
func (f Format) Open(name string, data []byte) (*Decoder, *yaml.Node) {
	if name == "-" {
		name = StdinName
	}
	d := &Decoder{file: name, format: f}
	return d, d.document(data)
}

// StdinName is what standard input is called in messages.
const StdinName = "<stdin>"
