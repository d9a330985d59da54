package local

import (
	"bytes"
	"fmt"
	"regexp"
	"unicode/utf8"
)

// maxOutput bounds one output's value, and maxOutputs how many there are: a name
// takes more memory here than in the tool's file.
const (
	maxOutput  = 1 << 20
	maxOutputs = 10_000
)

var outputName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// parseOutputs reads what a tool wrote to $MAYFLY_OUTPUT:
//
//	NAME=value
//	NAME<<DELIMITER
//	any lines
//	DELIMITER
//
// Empty lines between them are skipped, the last value of a name counts, and
// a block's value doesn't end with the line break before its delimiter. A
// carriage return is a part of a block's lines, and of no other line's end.
func parseOutputs(data []byte) (map[string]string, error) {
	outputs := map[string]string{}
	line := 0
	next := func() (text []byte, ok bool) {
		if len(data) == 0 {
			return nil, false
		}
		line++
		text, data, _ = bytes.Cut(data, []byte("\n"))
		return text, true
	}
	trimmed := func(text []byte) []byte { return bytes.TrimSuffix(text, []byte("\r")) }
	for {
		text, ok := next()
		if !ok {
			return outputs, nil
		}
		if text = trimmed(text); len(text) == 0 {
			continue
		}
		at := bytes.IndexAny(text, "=<")
		if at < 0 || (text[at] == '<' && !bytes.HasPrefix(text[at:], []byte("<<"))) {
			return outputs, fmt.Errorf("line %d of $MAYFLY_OUTPUT is neither NAME=value nor NAME<<DELIMITER", line)
		}
		name, value := string(text[:at]), text[at+1:]
		if !outputName.MatchString(name) {
			return outputs, fmt.Errorf("line %d of $MAYFLY_OUTPUT: %.60q is not a name; use letters, digits, _ and -", line, name)
		}
		if text[at] == '<' {
			delimiter := bytes.TrimSpace(text[at+2:])
			if len(delimiter) == 0 {
				return outputs, fmt.Errorf("line %d of $MAYFLY_OUTPUT: %s<< has no delimiter", line, name)
			}
			begin, size := line, -1
			var block [][]byte
			for {
				text, ok := next()
				if !ok {
					return outputs, fmt.Errorf("line %d of $MAYFLY_OUTPUT: the value of %s has no closing %s%s", begin, name, delimiter, unclosed(block, delimiter))
				}
				if bytes.Equal(trimmed(text), delimiter) {
					break
				}
				if size += 1 + len(text); size > maxOutput {
					return outputs, tooLarge(begin, name)
				}
				block = append(block, text)
			}
			value = bytes.Join(block, []byte("\n"))
		}
		if len(value) > maxOutput {
			return outputs, tooLarge(line, name)
		}
		if !utf8.Valid(value) {
			return outputs, fmt.Errorf("line %d of $MAYFLY_OUTPUT: %s is not UTF-8; encode it, such as with base64", line, name)
		}
		if outputs[name] = string(value); len(outputs) > maxOutputs {
			return nil, fmt.Errorf("line %d of $MAYFLY_OUTPUT: there are more than %d outputs; write one JSON value instead", line, maxOutputs)
		}
	}
}

func tooLarge(line int, name string) error {
	return fmt.Errorf("line %d of $MAYFLY_OUTPUT: %s has more than the %d bytes that an output may have", line, name, maxOutput)
}

// unclosed says why a block isn't closed, where one of its lines shows it.
func unclosed(block [][]byte, delimiter []byte) string {
	plain := bytes.Trim(bytes.TrimPrefix(delimiter, []byte("-")), `'"`)
	added := "the quotes are"
	if delimiter[0] == '-' { // a shell's <<-, which takes tabs off the lines
		added = `the "-" is`
	}
	for i, line := range block {
		switch bare := bytes.TrimSpace(line); {
		case !bytes.Equal(plain, delimiter) && bytes.Equal(bare, plain):
			return fmt.Sprintf("; %s a part of the delimiter: write <<%s", added, plain)
		case bytes.Equal(bare, delimiter):
			return fmt.Sprintf("; a line has %s with spaces around it; the delimiter must be alone on its line", delimiter)
		case i == len(block)-1 && bytes.HasSuffix(line, delimiter):
			return fmt.Sprintf("; the last line ends with %s; add a line break before it", delimiter)
		}
	}
	return ""
}
