package suite

import (
	"regexp"
	"time"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// HTTPMock is an answer to HTTP requests, with the conditions for a request to get it.
type HTTPMock struct {
	// Name is the name in the file; it may be empty.
	Name string
	// Label is the mock's name in messages: Name, or its position such as "http[1]".
	Label string
	RequestMatch
	// Answers has at least one answer. They are given one after the other, and the last one again for each further request,
	// up to Times if it is set.
	Answers []HTTPAnswer
	// Times is how many requests the mock must answer; it answers no more. nil is any number.
	Times    *int
	Position shape.Position
}

// RequestMatch has the conditions for a request. It must meet all that are set.
type RequestMatch struct {
	// Method is in upper case; empty for any.
	Method string
	Scheme string // http or https; empty for both
	Host   *Matcher
	Port   uint16 // 0 for any
	Path   *Matcher
	// Slashed says that Path comes from a URL, so that an encoded slash differs from a slash; see [SlashedPath].
	Slashed bool
	// Query has conditions for the request's parameters; it may have more parameters.
	Query []Field
	// Headers has conditions for headers, whose names are compared without regard to case; there may be more headers.
	Headers []Field
	Body    *Matcher
	// JSON is a part of the body, as decoded JSON has it with numbers as json.Number: an object may have more keys, at any
	// depth. HasJSON distinguishes null from no condition.
	JSON    any
	HasJSON bool
}

// HTTPAnswer is one answer. At most one of Reset and Timeout is set, and then no other field except Delay.
type HTTPAnswer struct {
	Status  int
	Headers []Header
	// At most one of Body, JSON (compact text), Data (bytes that aren't text) and File (a path inside the suite's folder) is set.
	Body, JSON string
	Data       []byte
	File       string
	// Chunks is a body in parts, instead of these.
	Chunks []Chunk
	Delay  time.Duration
	// Reset resets the connection; Timeout never answers.
	Reset, Timeout bool
	Position       shape.Position
}

// Chunk is a part of a body. It is sent Delay after the part before it.
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

// ArgsMatch has a condition for each argument of a call. With Prefix, more arguments may follow.
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

// Matcher has conditions for a text. It must meet all that are set.
type Matcher struct {
	// Equals are the texts that are accepted; an empty list accepts any.
	Equals []string
	// Glob and Regex apply to the whole text, Matches to a part of it.
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

// Match reports whether the text matches the pattern.
func (p Pattern) Match(s string) bool { return p.re != nil && p.re.MatchString(s) }
