package local

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// maxOutput is the largest size of one output's value, and maxOutputs the largest number of outputs: a name takes more memory
// here than in the tool's file.
const (
	maxOutput  = 1 << 20
	maxOutputs = 10_000
)

var outputName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// parseOutputs parses what a tool wrote to $MAYFLY_OUTPUT:
//
//	NAME=value
//	NAME<<DELIMITER
//	any lines
//	DELIMITER
//
// It skips empty lines between outputs, and the last value of a name counts. A block's value doesn't include the line break
// before its delimiter. A carriage return at the end of a line is dropped, except inside a block.
func parseOutputs(data []byte) (map[string]string, error) {
	outputs := map[string]string{}
	lines := outputLines{rest: data}
	for {
		text, ok := lines.next()
		if !ok {
			return outputs, nil
		}
		if text = trimmed(text); len(text) == 0 {
			continue
		}
		name, value, err := lines.output(text)
		if err != nil {
			return outputs, err
		}
		if outputs[name] = string(value); len(outputs) > maxOutputs {
			return nil, lines.errorf("there are more than %d outputs; write one JSON value instead", maxOutputs)
		}
	}
}

// outputLines has the remaining lines, and the number of the last one that was read.
type outputLines struct {
	rest []byte
	line int
}

func (l *outputLines) next() (text []byte, ok bool) {
	if len(l.rest) == 0 {
		return nil, false
	}
	l.line++
	text, l.rest, _ = bytes.Cut(l.rest, []byte("\n"))
	return text, true
}

func (l *outputLines) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d of $MAYFLY_OUTPUT: %w", l.line, fmt.Errorf(format, args...))
}

// output reads the output that begins with the given line.
func (l *outputLines) output(text []byte) (name string, value []byte, err error) {
	at := bytes.IndexAny(text, "=<")
	if at < 0 || (text[at] == '<' && !bytes.HasPrefix(text[at:], []byte("<<"))) {
		return "", nil, fmt.Errorf("line %d of $MAYFLY_OUTPUT is neither NAME=value nor NAME<<DELIMITER", l.line)
	}
	name, value = string(text[:at]), text[at+1:]
	if !outputName().MatchString(name) {
		return "", nil, l.errorf("%.60q is not a name; use letters, digits, _ and -", name)
	}
	if text[at] == '<' {
		if value, err = l.block(name, bytes.TrimSpace(text[at+2:])); err != nil {
			return "", nil, err
		}
	}
	switch {
	case len(value) > maxOutput:
		return "", nil, tooLarge(l.line, name)
	case !utf8.Valid(value):
		return "", nil, l.errorf("%s is not UTF-8; encode it, for example with base64", name)
	}
	return name, value, nil
}

// block reads the lines of a block up to the delimiter.
func (l *outputLines) block(name string, delimiter []byte) ([]byte, error) {
	if len(delimiter) == 0 {
		return nil, l.errorf("%s<< has no delimiter", name)
	}
	begin, size := l.line, -1
	var block [][]byte
	for {
		text, ok := l.next()
		switch {
		case !ok:
			l.line = begin
			return nil, l.errorf("the value of %s has no closing %s%s", name, delimiter, unclosed(block, delimiter))
		case bytes.Equal(trimmed(text), delimiter):
			return bytes.Join(block, []byte("\n")), nil
		}
		if size += 1 + len(text); size > maxOutput {
			return nil, tooLarge(begin, name)
		}
		block = append(block, text)
	}
}

func trimmed(text []byte) []byte { return bytes.TrimSuffix(text, []byte("\r")) }

func tooLarge(line int, name string) error {
	return fmt.Errorf("line %d of $MAYFLY_OUTPUT: %s is longer than %d bytes, the most that an output may have", line, name, maxOutput)
}

// unclosed returns why a block isn't closed, if one of its lines shows it, and otherwise "".
func unclosed(block [][]byte, delimiter []byte) string {
	plain := bytes.Trim(bytes.TrimPrefix(delimiter, []byte("-")), `'"`)
	added := "the quotes are"
	if delimiter[0] == '-' { // a shell's <<-, which removes tabs at the beginning of lines
		added = `the "-" is`
	}
	for i, line := range block {
		switch bare := bytes.TrimSpace(line); {
		case !bytes.Equal(plain, delimiter) && bytes.Equal(bare, plain):
			return fmt.Sprintf("; %s part of the delimiter: write <<%s", added, plain)
		case bytes.Equal(bare, delimiter):
			return fmt.Sprintf("; a line has %s with spaces around it; the delimiter must be alone on its line", delimiter)
		case i == len(block)-1 && bytes.HasSuffix(line, delimiter):
			return fmt.Sprintf("; the last line ends with %s; add a line break before it", delimiter)
		}
	}
	return ""
}
