package commandmock

import (
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/suite"
)

// Call is the record of one call of a mocked command.
type Call struct {
	// Seq counts calls from 1, in the order in which they were answered.
	Seq     int       `json:"seq"`
	Time    time.Time `json:"time"`
	Command string    `json:"command"`
	Args    []string  `json:"args"`
	// Stdin has the first 1 MiB of the standard input. If that isn't UTF-8, StdinBase64 has it instead. StdinSize is the
	// size of all that was read, in bytes.
	Stdin          string `json:"stdin"`
	StdinBase64    []byte `json:"stdin_base64,omitempty"`
	StdinSize      int64  `json:"stdin_size"`
	StdinTruncated bool   `json:"stdin_truncated,omitempty"`
	// Mock is the label of the mock that answered, and ExitCode the exit status that the command got.
	Mock     string `json:"mock,omitempty"`
	ExitCode int    `json:"exit_code"`
	// Problem says why no mock answered; it is empty if one did.
	Problem string `json:"problem,omitempty"`
}

// Input returns the part of the standard input that was kept.
func (c *Call) Input() string {
	if c.StdinBase64 != nil {
		return string(c.StdinBase64)
	}
	return c.Stdin
}

func (c *Call) setStdin(in *stdin) {
	c.StdinSize, c.StdinTruncated = in.size, in.size > int64(len(in.kept))
	c.Stdin, c.StdinBase64 = "", nil
	if utf8.Valid(in.kept) {
		c.Stdin = string(in.kept)
	} else {
		c.StdinBase64 = in.kept
	}
}

// Number sets Seq; with the next three methods a call is a responder.Record.
func (c *Call) Number(n int) { c.Seq = n }

// Answered reports whether a mock has answered.
func (c *Call) Answered() bool { return c.Problem == "" }

// Weight returns about how many bytes the arguments and the input take in a JSON report.
func (c *Call) Weight() int {
	size := suite.JSONLength(c.Stdin) + base64.StdEncoding.EncodedLen(len(c.StdinBase64))
	for _, a := range c.Args {
		size += suite.JSONLength(a) + 16 // the string itself
	}
	return size
}

// Shorten removes the arguments and the input.
func (c *Call) Shorten() {
	c.Args, c.Stdin, c.StdinBase64, c.StdinTruncated = []string{}, "", nil, true
}

// String returns the call as a command line for a shell, without words that are too many for a message.
func (c *Call) String() string {
	const most = 200
	text := quoted(c.Command)
	for _, a := range c.Args {
		word := " " + quoted(a)
		if len(text)+len(word) > most {
			return text + " …" // never a part of a word, since masking doesn't find a part of a secret
		}
		text += word
	}
	return text
}

// quoted quotes a word for a shell, if it needs quotes.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=,@%+", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
