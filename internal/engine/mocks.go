package engine

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/network"
)

// Mocks replaces the world of a sandbox for a test of its tool. The tool, its image and its confinement stay as they
// are; what it connects to is answered by whoever listens at the sockets that [Local] names, and nothing else leaves the
// machine. Spec.Network is judged as ever: what it refuses is refused in a test too.
//
// # Connections
//
// Each TCP connection that Spec.Network allows and Allow doesn't becomes one connection to the unix socket
// Local.Connections.
// Names that Allow doesn't open are not looked up: they get a stand-in address. On the sandbox's own loopback only
// ports of Loopback on which nothing in the sandbox listens are taken; the sandbox's own servers work as ever.
//
//	engine -> mocks   one line of JSON: [MockedConnection]
//	engine -> mocks   what the tool sends, raw, until its end; closing both ways is a reset by the tool
//	mocks -> engine   frames: length (uint32, big endian) and that many bytes for the tool;
//	                  length 0 ends the sending half, 0xffffffff resets the connection
//
// The end of the socket without a frame that says so is a reset too: the mocks have died.
//
// The tool's connect is answered before the mocks are asked, so that they can see its request before they refuse it.
//
// # Commands
//
// Each name of Commands is an executable of a folder that stands first in the tool's PATH. A process of it connects to
// the unix socket Local.Commands, which is mounted in the sandbox: whoever listens there takes it for hostile.
//
//	command -> mocks  each argument, the command's name first: length (uint32, big endian) and bytes; 0xffffffff ends them
//	command -> mocks  its standard input: frames as above, length 0 at its end; of a terminal only the end
//	mocks -> command  frames: kind (one byte: 1 standard output, 2 standard error, 3 exit), length (uint32, big endian)
//	                  and bytes; those of exit are the status, one byte, and it is the last frame
//
// The sandbox's users are nobody that the host knows, so everybody may write to that socket (mode 0666); the folder
// that it is in keeps the host's other users out.
type Mocks struct {
	// Allow is what really leaves, where Spec.Network allows it too: mode none or list.
	Allow network.Policy `json:"allow"`
	// Loopback are the ports of the sandbox's own loopback that mocks may answer for: at most 100 ranges.
	Loopback []network.PortRange `json:"loopback,omitempty"`
	// Authority is a certificate (PEM) that the sandbox trusts beside those of its image, of the tool's files, secrets and
	// variables.
	Authority []byte `json:"authority,omitempty"`

	Commands []string `json:"commands,omitempty"`
}

// MockedConnection is what a tool tries to reach.
type MockedConnection struct {
	// Names are the names that lately stood for Address, the latest first.
	Names   []string `json:"names,omitempty"`
	Address string   `json:"address"`
	Port    uint16   `json:"port"`
	// Loopback says that it is the sandbox's own.
	Loopback bool `json:"loopback,omitempty"`
}

// validate refuses mocks that nobody could serve.
func (m *Mocks) validate() error {
	invalid := func(why string, args ...any) error {
		return &InvalidError{Field: "mocks", Why: fmt.Sprintf(why, args...)}
	}
	if err := m.Allow.Validate(); err != nil {
		return invalid("what leaves the machine: %v", err)
	}
	if m.Allow.Mode != network.ModeNone && m.Allow.Mode != network.ModeList {
		return invalid("network mode %q would let more than named destinations leave the machine; write none or list", m.Allow.Mode)
	}
	if len(m.Loopback) > maxLoopback {
		return invalid("%d ranges of ports are more than the %d that one may name", len(m.Loopback), maxLoopback)
	}
	for _, ports := range m.Loopback {
		if ports.First == 0 || ports.Last < ports.First {
			return invalid("%s is not a range of ports from 1 to 65535", ports)
		}
	}
	seen := map[string]bool{}
	for _, name := range m.Commands {
		switch {
		case name == "" || name == "." || name == ".." || strings.Contains(name, "/") || len(name) > maxFileName:
			return invalid("command %q can't be the name of a file", name)
		case seen[name]:
			return invalid("command %q is named twice", name)
		}
		if err := validText("mocked command "+name, name); err != nil {
			return err
		}
		seen[name] = true
	}
	return nil
}

// maxLoopback bounds the rules that a kernel is given for them.
const maxLoopback = 100

// maxFileName is the longest name of a file in bytes (NAME_MAX, limits.h(0p)).
const maxFileName = 255
