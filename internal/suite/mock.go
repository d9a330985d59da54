package suite

import (
	"regexp"
	"time"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// HTTPMock is an answer to HTTP requests, with what a request has to be to get it.
type HTTPMock struct {
	// Name is the one that the file gives it; it may be empty.
	Name string
	// Label is the mock's name in messages: its own, or one such as "http[1]".
	Label string
	RequestMatch
	// Answers are given one after the other; the last one is given again, without end or up to Times. There is one at
	// least.
	Answers []HTTPAnswer
	// Times is how many requests the mock answers, and is expected to; nil for any number.
	Times    *int
	Position shape.Position
}

// RequestMatch is what a request has to be; every part that is set has to hold.
type RequestMatch struct {
	// Method is in upper case; empty for any.
	Method string
	Scheme string // http or https; empty for both
	Host   *Matcher
	Port   uint16 // 0 for any
	Path   *Matcher
	// Slashed says that Path is one of a URL, which a path that only decodes to it is not; see [SlashedPath].
	Slashed bool
	// Query are parameters that the request has; it may have more.
	Query []Field
	// Headers likewise; their names are compared without regard to case.
	Headers []Field
	Body    *Matcher
	// JSON is a part of the body, as decoded JSON has it with numbers as json.Number: an object may have more keys, at
	// any depth. HasJSON tells null from none.
	JSON    any
	HasJSON bool
}

// HTTPAnswer is one answer. At most one of Reset and Timeout is set, and then nothing else but Delay.
type HTTPAnswer struct {
	Status  int
	Headers []Header
	// At most one of Body, JSON (compact text), Data (which isn't text) and File (a path inside the suite's folder) is set.
	Body, JSON string
	Data       []byte
	File       string
	// Chunks are a body in parts instead.
	Chunks []Chunk
	Delay  time.Duration
	// Reset resets the connection; Timeout never answers.
	Reset, Timeout bool
	Position       shape.Position
}

// Chunk is a part of a body, sent Delay after the one before it.
type Chunk struct {
	Body  string
	Delay time.Duration
}

// Header is one header of an answer.
type Header struct{ Name, Value string }

// CommandMock is an answer to calls of a command.
type CommandMock struct {
	Name    string
	Label   string
	Command string
	// Args is nil for any arguments.
	Args *ArgsMatch
	// Stdin is nil for any input.
	Stdin    *Matcher
	Answers  []CommandAnswer
	Times    *int
	Position shape.Position
}

// ArgsMatch is what the arguments of a call have to be: as many as there are words, or more where it is a Prefix.
type ArgsMatch struct {
	Words  []Matcher
	Prefix bool
}

// CommandAnswer is one answer of a mocked command.
type CommandAnswer struct {
	Stdout, Stderr string
	ExitCode       int
	Delay          time.Duration
}

// Matcher says what a text has to be; every condition given has to hold.
type Matcher struct {
	// Equals are the texts that are taken; none for any.
	Equals []string
	// Glob and Regex are for the whole text, Matches for a part of it.
	Glob        []Pattern
	Regex       []Pattern
	Contains    []string
	NotContains []string
	Matches     []Pattern
	// Line says that a line break at the end makes no difference to Equals, Glob and Regex.
	Line bool
}

// Pattern is a compiled pattern with its text.
type Pattern struct {
	Text string
	re   *regexp.Regexp
}

// Match reports whether the pattern holds.
func (p Pattern) Match(s string) bool { return p.re != nil && p.re.MatchString(s) }
