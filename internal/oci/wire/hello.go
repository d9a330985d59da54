package wire

import (
	"fmt"

	"github.com/mayfly-run/mayfly/internal/program"
)

// Hello is mayfly's first line. The shim that reads another protocol than its own refuses the start: it would not see a
// field that it doesn't know, such as a limit, and run the tool without it. So this type keeps its fields, and so does
// [Report] its Failure with the message.
type Hello struct {
	// Protocol is what the sender speaks. It isn't the version, which is the same for two builds of a changed tree, and
	// may differ while the messages are the same.
	Protocol string `json:"protocol"`
	Version  string `json:"version"` // the sender's, for the error
}

// Protocol identifies what this package's messages are. The part after the dot is a hash of the types of [Request] and
// [Report] with all that they contain: a test computes it and says what to write here. It is a constant since to compute it
// in each start takes longer than 100 µs. The number before the dot is for what no type says: raise it when the descriptors,
// the arguments or the order of the messages change, or what a field means.
const Protocol = "1.63449b68443d188d"

// NewHello is the running program's.
func NewHello() Hello { return Hello{Protocol: Protocol, Version: program.Version()} }

// Check says what is wrong with mayfly's hello, for a shim with the hello own.
func (h Hello) Check(own Hello) error {
	if h.Protocol == own.Protocol {
		return nil
	}
	sender, receiver := h.Version, own.Version
	switch sender {
	case "":
		sender = "an older version"
	case receiver:
		sender, receiver = fmt.Sprintf("%s (protocol %s)", sender, h.Protocol), fmt.Sprintf("%s (protocol %s)", receiver, own.Protocol)
	}
	return fmt.Errorf("it is version %s, and mayfly, which started it, is %s: they don't work together; install all programs from the same release (mayfly version --all lists them)", receiver, sender)
}
