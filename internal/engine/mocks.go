package engine

import (
	"github.com/mayfly-run/mayfly/internal/network"
)

// Mocks replaces the world of a sandbox for a test of its tool. The tool, its image and its confinement stay as they
// are; what it connects to is answered by whoever listens at the sockets named here, and nothing else leaves the
// machine. Spec.Network is judged as ever: what it refuses is refused in a test too.
//
// # Connections
//
// Each TCP connection that Spec.Network allows and Allow doesn't becomes one connection to the unix socket Connections.
// Names that Allow doesn't open are not looked up: they get a stand-in address. On the sandbox's own loopback only
// ports of Loopback on which nothing in the sandbox listens are taken; the sandbox's own servers work as ever.
//
//	engine -> mocks   one line of JSON: [MockedConnection]
//	engine -> mocks   what the tool sends, raw, until its end; closing both ways is a reset by the tool
//	mocks -> engine   frames: length (uint32, big endian) and that many bytes for the tool;
//	                  length 0 ends the sending half, 0xffffffff resets the connection
//
// The tool's connect is answered before the mocks are asked, so that they can see its request before they refuse it.
//
// # Commands
//
// Each name of Commands is an executable of a folder that stands first in the tool's PATH. A process of it connects to
// the unix socket CommandSocket, which is mounted in the sandbox: whoever listens there takes it for hostile.
//
//	command -> mocks  each argument, the command's name first: length (uint32, big endian) and bytes; 0xffffffff ends them
//	command -> mocks  its standard input, unless that is a terminal: frames as above, length 0 at its end
//	mocks -> command  frames: kind (1 standard output, 2 standard error, 3 exit), length (uint32, big endian) and bytes;
//	                  those of exit are the status, one byte, and it is the last frame
type Mocks struct {
	Connections string `json:"connections"`
	// Allow is what really leaves, where Spec.Network allows it too: mode none or list.
	Allow network.Policy `json:"allow"`
	// Loopback are the ports of the sandbox's own loopback that mocks may answer for.
	Loopback []network.PortRange `json:"loopback,omitempty"`
	// Authority is a certificate (PEM) that the sandbox trusts beside those of its image.
	Authority []byte `json:"authority,omitempty"`

	Commands      []string `json:"commands,omitempty"`
	CommandSocket string   `json:"command_socket,omitempty"`
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
