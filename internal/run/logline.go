package run

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// LogLine reports whether a line is what MarshalJSON writes for a log event with UTF-8 of a run, with the number seq, and without a step.
// breaks is the number of line breaks in its output. A server may keep such a line as it is.
func LogLine(line []byte, id string, seq int64) (breaks int64, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"seq":`))
	if !ok {
		return 0, false
	}
	var number [20]byte
	rest, ok = bytes.CutPrefix(rest, append(strconv.AppendInt(number[:0], seq, 10), `,"time":"`...))
	if !ok {
		return 0, false
	}
	at := bytes.IndexByte(rest, '"')
	if at < 0 || !written(rest[:at]) {
		return 0, false
	}
	rest, ok = bytes.CutPrefix(rest[at:], []byte(`","run":"`))
	if !ok || len(rest) < len(id) || string(rest[:len(id)]) != id {
		return 0, false
	}
	rest, ok = bytes.CutPrefix(rest[len(id):], []byte(`","type":"log","stream":"std`))
	if !ok || len(rest) < 3 || string(rest[:3]) != "out" && string(rest[:3]) != "err" {
		return 0, false
	}
	rest, ok = bytes.CutPrefix(rest[3:], []byte(`","data":"`))
	if !ok {
		return 0, false
	}
	text, ok := bytes.CutSuffix(rest, []byte(`"}`))
	if !ok || len(text) == 0 || !utf8.Valid(text) || bytes.Contains(text, []byte("\u2028")) || bytes.Contains(text, []byte("\u2029")) {
		return 0, false
	}
	return breaksOf(text)
}

// written reports whether a text is a time as an event has it.
func written(text []byte) bool {
	at, err := time.Parse(time.RFC3339Nano, string(text))
	var again [len(time.RFC3339Nano)]byte
	return err == nil && bytes.Equal(at.UTC().AppendFormat(again[:0], time.RFC3339Nano), text)
}

// The bytes of a string in JSON that aren't themselves, as package json writes it.
var special = func() (is [256]bool) {
	for b := range 0x20 {
		is[b] = true
	}
	for _, b := range []byte(`"\<>&`) {
		is[b] = true
	}
	return is
}()

// breaksOf counts the line breaks in the inside of a string in JSON. ok says that it is one, as package json writes it.
func breaksOf(text []byte) (breaks int64, ok bool) {
	for {
		n := plain(text)
		if n == len(text) {
			return breaks, true
		}
		if text = text[n:]; text[0] != '\\' || len(text) == 1 {
			return 0, false
		}
		n = 2
		switch text[1] {
		case 'n':
			breaks++
		case '"', '\\', 'b', 'f', 'r', 't':
		case 'u':
			if !escaped(text[2:]) {
				return 0, false
			}
			n = 6
		default:
			return 0, false
		}
		text = text[n:]
	}
}

// plain returns how many bytes at the beginning are themselves.
func plain(text []byte) int {
	for i, b := range text {
		if special[b] {
			return i
		}
	}
	return len(text)
}

// escaped reports whether a text begins with the code of a character that package json writes as \uXXXX: others have a shorter form, or are
// themselves.
func escaped(text []byte) bool {
	if len(text) < 4 {
		return false
	}
	switch code := string(text[:4]); code {
	case "003c", "003e", "0026", "2028", "2029":
		return true
	case "0008", "0009", "000a", "000c", "000d":
		return false
	default:
		return code[:2] == "00" && (code[2] == '0' || code[2] == '1') && strings.IndexByte("0123456789abcdef", code[3]) >= 0
	}
}
