package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

func TestMocksThatNobodyCouldServe(t *testing.T) {
	for name, c := range map[string]struct {
		mode  network.Mode
		mocks engine.Mocks
		local engine.Local
		why   string // part of the error; "" means no error
	}{
		"nothing":                     {network.ModeNone, engine.Mocks{Allow: none}, engine.Local{}, ""},
		"connections":                 {network.ModePublic, engine.Mocks{Allow: none}, engine.Local{Connections: "/run/c"}, ""},
		"connections without socket":  {network.ModePublic, engine.Mocks{Allow: none}, engine.Local{}, "absolute path"},
		"loopback without socket":     {network.ModeNone, engine.Mocks{Allow: none, Loopback: ports(1, 2)}, engine.Local{}, "absolute path"},
		"a relative socket":           {network.ModePublic, engine.Mocks{Allow: none}, engine.Local{Connections: "c"}, "absolute path"},
		"port 0":                      {network.ModeNone, engine.Mocks{Allow: none, Loopback: ports(0, 2)}, engine.Local{Connections: "/c"}, "range of ports"},
		"ports backwards":             {network.ModeNone, engine.Mocks{Allow: none, Loopback: ports(3, 2)}, engine.Local{Connections: "/c"}, "range of ports"},
		"101 ranges":                  {network.ModeNone, engine.Mocks{Allow: none, Loopback: make([]network.PortRange, 101)}, engine.Local{Connections: "/c"}, "more than the 100"},
		"a list":                      {network.ModePublic, engine.Mocks{Allow: network.Policy{Mode: network.ModeList}}, engine.Local{Connections: "/c"}, ""},
		"everything leaves":           {network.ModePublic, engine.Mocks{Allow: network.Policy{Mode: network.ModeOpen}}, engine.Local{Connections: "/c"}, "none or list"},
		"the public leaves":           {network.ModePublic, engine.Mocks{Allow: network.Policy{Mode: network.ModePublic}}, engine.Local{Connections: "/c"}, "none or list"},
		"no mode":                     {network.ModePublic, engine.Mocks{}, engine.Local{Connections: "/c"}, "not known"},
		"a command":                   {network.ModeNone, command("kubectl"), engine.Local{Commands: "/run/commands"}, ""},
		"a command without socket":    {network.ModeNone, engine.Mocks{Allow: none, Commands: []string{"kubectl"}}, engine.Local{}, "absolute path"},
		"a command with a slash":      {network.ModeNone, command("../kubectl"), engine.Local{Commands: "/run/commands"}, "name of a file"},
		"a command without a name":    {network.ModeNone, command(""), engine.Local{Commands: "/run/commands"}, "name of a file"},
		"the folder itself":           {network.ModeNone, command("."), engine.Local{Commands: "/run/commands"}, "name of a file"},
		"the folder above":            {network.ModeNone, command(".."), engine.Local{Commands: "/run/commands"}, "name of a file"},
		"a command of 255 characters": {network.ModeNone, command(strings.Repeat("k", 255)), engine.Local{Commands: "/run/commands"}, ""},
		"a command of 256 characters": {network.ModeNone, command(strings.Repeat("k", 256)), engine.Local{Commands: "/run/commands"}, "name of a file"},
		"a command with NUL":          {network.ModeNone, command("a\x00b"), engine.Local{Commands: "/run/commands"}, "NUL"},
		"a command that isn't text":   {network.ModeNone, command("a\xff"), engine.Local{Commands: "/run/commands"}, "UTF-8"},
		"a command twice":             {network.ModeNone, command("a", "a"), engine.Local{Commands: "/run/commands"}, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := engine.Spec{Args: []string{"true"}, Network: network.Policy{Mode: c.mode}, Mocks: &c.mocks}
			err := errors.Join(spec.Validate(), c.local.Validate(&spec))
			var invalid *engine.InvalidError
			switch {
			case c.why == "" && err != nil:
				t.Error(err)
			case c.why != "" && (!errors.As(err, &invalid) || !strings.Contains(err.Error(), c.why)):
				t.Errorf("got %v, want an InvalidError with %q", err, c.why)
			}
		})
	}
}

var none = network.Policy{Mode: network.ModeNone}

func ports(first, last uint16) []network.PortRange {
	return []network.PortRange{{First: first, Last: last}}
}

func command(names ...string) engine.Mocks {
	return engine.Mocks{Allow: none, Commands: names}
}
