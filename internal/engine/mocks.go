package engine

import (
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/network"
)

// Mocks replaces the surroundings of a tool for a test. The tool, its image and its confinement don't change. The listeners
// at the sockets that [Local] names answer its connections, and nothing else leaves the machine. Spec.Network still applies:
// a connection that it refuses is refused in a test too.
//
// # Connections
//
// Each TCP connection that Spec.Network allows and Allow doesn't becomes one connection to the unix socket
// Local.Connections.
// Names that Allow doesn't open are not looked up: they get a stand-in address. On the sandbox's own loopback the mocks
// get only the ports of Loopback on which nothing in the sandbox listens; the sandbox's own servers still work.
//
//	engine -> mocks   one line of JSON: [MockedConnection]
//	engine -> mocks   the tool's bytes, raw, until the end; closing both ways is a reset by the tool
//	mocks -> engine   frames: length (uint32, big endian) and that many bytes for the tool;
//	                  length 0 ends the sending half, 0xffffffff resets the connection
//
// The end of the socket without a frame of length 0 is a reset too: the mocks have died.
//
// The tool's connect succeeds before the mocks are asked, so that they can see its request before they refuse it.
//
// # Commands
//
// Each name of Commands is an executable in a folder that is first in the tool's PATH. Each of its processes connects to
// the unix socket Local.Commands, which is mounted in the sandbox. The listener must treat these connections as hostile.
//
//	command -> mocks  each argument, the command's name first: length (uint32, big endian) and bytes; 0xffffffff ends them
//	command -> mocks  its standard input: frames as above, length 0 at its end; only the end if it is a terminal
//	mocks -> command  frames: kind (one byte: 1 standard output, 2 standard error, 3 exit), length (uint32, big endian)
//	                  and bytes; the last frame is exit, with the status in one byte
//
// The host has no user for the sandbox's ids, so all users may write to that socket (mode 0666); the folder that contains
// it keeps the host's other users out.
type Mocks struct {
	// Allow is what may really leave the machine, if Spec.Network allows it too: mode none or list.
	Allow network.Policy `json:"allow"`
	// Loopback lists the ports of the sandbox's own loopback that mocks may answer: at most 100 ranges.
	Loopback []network.PortRange `json:"loopback,omitempty"`
	// Authority is a certificate (PEM) that the sandbox trusts, in addition to those of its image and of the tool's files,
	// secrets and variables.
	Authority []byte `json:"authority,omitempty"`

	// Commands are the names of the mocked commands.
	Commands []string `json:"commands,omitempty"`
}

// MockedConnection is the destination of a tool's connection.
type MockedConnection struct {
	// Names are the names that the tool resolved to Address, latest first.
	Names   []string `json:"names,omitempty"`
	Address string   `json:"address"`
	Port    uint16   `json:"port"`
	// Loopback says that Address is on the sandbox's own loopback.
	Loopback bool `json:"loopback,omitempty"`
}

// validate refuses mocks that no listener could serve, with an [*InvalidError].
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

// maxLoopback is the largest number of port ranges; each becomes a rule in the kernel.
const maxLoopback = 100

// maxFileName is the length of the longest file name, in bytes (NAME_MAX, limits.h(0p)).
const maxFileName = 255
