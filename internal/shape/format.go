package shape

import (
	"go.yaml.in/yaml/v3"
)

// Format describes a kind of file: how much of it is read, and the messages about a file that isn't of this kind.
type Format struct {
	Bounds Bounds
	// MayBeEmpty says that a file without a document is read as a mapping without keys.
	MayBeEmpty bool
	// Empty, TooLarge and TooManyParts are the hints for such files.
	Empty, TooLarge, TooManyParts string
	// Foreign, if not nil, recognises files of other programs and says what to do with them. root is nil if the file isn't YAML.
	Foreign func(lines []string, root *yaml.Node) (wrong, hint string)
}

// Parse reads data as one document of a shape. name is the file's name in messages, and what is the document's. The error is
// an *[Error].
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

// Open parses data into its only document, which is nil after a problem. name is the file's name in messages; "-" stands for
// standard input.
func (f Format) Open(name string, data []byte) (*Decoder, *yaml.Node) {
	if name == "-" {
		name = StdinName
	}
	d := &Decoder{file: name, format: f}
	return d, d.document(data)
}

// StdinName is the name of standard input in messages.
const StdinName = "<stdin>"
