package wire

import (
	"fmt"

	"github.com/mayfly-run/mayfly/internal/program"
)

// Hello is mayfly's first line. A shim refuses the start if the protocol isn't its own: otherwise it would ignore fields that
// it doesn't know, such as a limit, and run the tool without them. So that all releases can read it, this type must keep its
// fields, and [Report] must keep Failure with its message.
type Hello struct {
	// Protocol is the sender's. It isn't the version, which is the same for two builds of a changed tree, and may differ
	// while the messages are the same.
	Protocol string `json:"protocol"`
	Version  string `json:"version"` // the sender's, for the error
}

// Protocol identifies this package's messages. The part after the dot is a hash of the types of [Request] and [Report] and
// of all types in them; a test computes it and says what to write here. It is a constant because computing it at each start
// takes longer than 100 µs. The number before the dot is for everything that the types don't show: raise it when the
// descriptors, the arguments, the order of the messages or the meaning of a field changes.
const Protocol = "1.63449b68443d188d"

// NewHello returns the running program's Hello.
func NewHello() Hello { return Hello{Protocol: Protocol, Version: program.Version()} }

// Check returns an error if mayfly's hello h doesn't fit the shim's hello own.
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
