package network

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// flow reads the small part of YAML's flow style (YAML 1.2.2 section 7.4) that rules are written in, of which JSON is a
// case: a mapping of plain or quoted scalars and one list of them. A rule is parsed without a YAML library because this
// package is linked into the sandbox supervisor, which is kept small.
type flow struct {
	text string
	at   int
}

func parseFlow(text string) (Rule, error) {
	var r Rule
	f := &flow{text: text}
	if !f.take('{') {
		return r, errors.New(`a rule starts with "{"`)
	}
	seenPorts := false
	for first := true; !f.take('}'); first = false {
		if !first && !f.take(',') {
			return r, fmt.Errorf(`character %d: "," or "}" is missing`, f.at+1)
		}
		key, err := f.scalar()
		if err != nil {
			return r, err
		}
		if !f.take(':') {
			return r, fmt.Errorf(`character %d: ":" is missing after %q`, f.at+1, key)
		}
		if key != "ports" {
			value, err := f.scalar()
			if err == nil {
				err = r.set(key, value)
			}
			if err != nil {
				return r, err
			}
			continue
		}
		if seenPorts {
			return r, errors.New("ports are given twice")
		}
		seenPorts = true
		if r.Ports, err = f.ports(); err != nil {
			return r, err
		}
	}
	if f.space(); f.at < len(f.text) {
		return r, fmt.Errorf("character %d: text follows the rule", f.at+1)
	}
	return r, nil
}

func (f *flow) ports() ([]PortRange, error) {
	var out []PortRange
	if !f.take('[') {
		return nil, errors.New("ports must be a list, such as [443]")
	}
	for first := true; !f.take(']'); first = false {
		if !first && !f.take(',') {
			return nil, fmt.Errorf(`character %d: "," or "]" is missing`, f.at+1)
		}
		text, err := f.scalar()
		if err != nil {
			return nil, err
		}
		p, err := ParsePorts(text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (f *flow) space() {
	for f.at < len(f.text) && strings.IndexByte(" \t\r\n", f.text[f.at]) >= 0 {
		f.at++
	}
}

// take skips white space and the character c, if it is next.
func (f *flow) take(c byte) bool {
	f.space()
	if f.at < len(f.text) && f.text[f.at] == c {
		f.at++
		return true
	}
	return false
}

// scalar reads a quoted scalar, or a plain one up to the next character that means something.
func (f *flow) scalar() (string, error) {
	f.space()
	rest := f.text[f.at:]
	switch {
	case strings.HasPrefix(rest, `"`):
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return "", fmt.Errorf("character %d: the quoted text is not valid", f.at+1)
		}
		f.at += len(quoted)
		return strconv.Unquote(quoted)
	case strings.HasPrefix(rest, "'"):
		text, _, closed := strings.Cut(rest[1:], "'")
		if !closed {
			return "", fmt.Errorf("character %d: the quote is not closed", f.at+1)
		}
		f.at += len(text) + 2
		return text, nil
	}
	end := 0
	for end < len(rest) && strings.IndexByte(",[]{}\"'", rest[end]) < 0 {
		// As in YAML, a colon ends a plain scalar only before white space, so that IPv6 needs no quotes.
		if rest[end] == ':' && (end+1 == len(rest) || strings.IndexByte(" \t\r\n", rest[end+1]) >= 0) {
			break
		}
		end++
	}
	text := strings.TrimSpace(rest[:end])
	if text == "" {
		return "", fmt.Errorf("character %d: a value is missing", f.at+1)
	}
	f.at += end
	return text, nil
}
