package enginetest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

func isInvalid(err error) bool {
	var invalid *engine.InvalidError
	return errors.As(err, &invalid)
}

// refused reports whether a start failed because the engine can't do what the spec asks for. It checks that such an error has
// its feature, reason and remedy.
func refused(t *testing.T, err error) bool {
	t.Helper()
	var u *engine.Unsupported
	if !errors.As(err, &u) {
		return false
	}
	if u.Feature == "" || u.Why == "" || u.Remedy == "" {
		t.Errorf("got %#v, want a feature, a reason and a remedy", u)
	}
	return true
}

// testUnsupported checks that a start with a feature that the capabilities leave out fails, and that no feature is dropped.
func testUnsupported(t *testing.T, h *Harness) {
	can := h.Engine.Capabilities()
	for name, bend := range map[string]struct {
		bend func(*engine.Spec)
		can  bool
	}{
		"an unknown runtime":       {func(s *engine.Spec) { s.Security.Runtime = "no-such-runtime" }, false},
		"an unknown kind":          {func(s *engine.Spec) { s.Mounts = []engine.Mount{{Kind: "no-such-kind", Target: "/x"}} }, false},
		"a terminal":               {func(s *engine.Spec) { s.Terminal, s.Columns, s.Rows = true, 80, 24 }, can.Terminal},
		"keeping a failed sandbox": {func(s *engine.Spec) { s.KeepFor = time.Minute }, can.Keeps},
		"a public network":         {func(s *engine.Spec) { s.Network.Mode = network.ModePublic }, slices.Contains(can.Networks, network.ModePublic)},
		"a scratch volume":         {func(s *engine.Spec) { s.Mounts = []engine.Mount{{Kind: engine.MountScratch, Target: "/x"}} }, slices.Contains(can.Mounts, engine.MountScratch)},
		"the engine's own runtime": {func(*engine.Spec) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			spec := h.Spec(Exit, "0")
			bend.bend(spec)
			s, err := h.Start(t.Context(), spec, nil, engine.Streams{})
			if err == nil {
				if _, err := wait(t, s); err != nil {
					t.Error(err)
				}
				if err := s.Remove(); err != nil {
					t.Error(err)
				}
			}
			if is := refused(t, err); is == bend.can && h.Runtime == "" || err != nil && !is {
				t.Errorf("Start: %v, but the capabilities say %v", err, bend.can)
			}
		})
	}
}

// testLacking starts specs that name something that the local lacks.
func testLacking(t *testing.T, h *Harness) {
	for name, bend := range map[string]func(*engine.Spec){
		"a secret": func(s *engine.Spec) { s.Environment = []engine.Variable{{Name: "A", Secret: "missing"}} },
		"a file": func(s *engine.Spec) {
			s.Mounts = []engine.Mount{{Kind: engine.MountSecret, Target: "/s", Secret: "missing"}}
		},
		"a folder": func(s *engine.Spec) {
			s.Mounts = []engine.Mount{{Kind: engine.MountFile, Target: "/s", Folder: "missing", Path: "x"}}
		},
		"connections": func(s *engine.Spec) {
			s.Network.Mode = network.ModePublic
			s.Mocks = &engine.Mocks{Allow: network.Policy{Mode: network.ModeNone}}
		},
		"commands": func(s *engine.Spec) {
			s.Mocks = &engine.Mocks{Allow: network.Policy{Mode: network.ModeNone}, Commands: []string{"git"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := h.Spec(Exit, "0")
			bend(spec)
			s, err := h.Start(t.Context(), spec, nil, engine.Streams{})
			if err == nil {
				_ = s.Close()
			}
			if !isInvalid(err) {
				t.Error(err)
			}
		})
	}
}

func testCapabilities(t *testing.T, h *Harness) {
	for want, keeps := range map[string][]string{"0000000000000000": nil, "0000000000000400": {"CAP_NET_BIND_SERVICE"}} {
		spec := h.Spec(Privileges, "")
		spec.Security.Capabilities = keeps
		if r := h.run(t, spec, nil, nil); strings.TrimSpace(r.stdout) != want {
			t.Errorf("capabilities %v: got the set %q, want %s", keeps, r.stdout, want)
		}
	}
}

func testTerminal(t *testing.T, h *Harness) {
	spec := h.Spec(Terminal, "")
	spec.Terminal, spec.Columns, spec.Rows = true, 71, 23
	in, typed := io.Pipe()
	out := newPrinted()
	s := h.startOrSkip(t, spec, engine.Local{Image: h.Unpacked}, engine.Streams{Stdin: in, Stdout: out})
	defer s.Close()
	defer typed.Close() // before s.Close, which waits for the reader
	out.until(t, "23 71")
	if err := s.Resize(90, 30); err != nil {
		t.Error(err)
	}
	for _, line := range []string{"again\n", "\n"} {
		if _, err := io.WriteString(typed, line); err != nil {
			t.Fatal(err)
		}
		out.until(t, "30 90")
	}
	if exit, err := wait(t, s); err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
	out.until(t, "to stderr")
}

func testKept(t *testing.T, h *Harness) {
	spec := h.Spec(Fill, "/tmp/left "+"1000000000")
	spec.KeepFor = time.Minute
	s := h.startOrSkip(t, spec, engine.Local{Image: h.Unpacked}, engine.Streams{})
	if exit, err := wait(t, s); err != nil || exit.Code == 0 || !exit.Kept {
		t.Errorf("got %+v, %v, want a failure that is kept", exit, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	keeper, ok := h.Engine.(*watched).Engine.(engine.Keeper)
	if !ok {
		t.Fatal("the engine keeps sandboxes, but is not an engine.Keeper")
	}
	if id, err := engine.FindKept(keeper, spec.ID[:len(spec.ID)-1]); err != nil || id != spec.ID {
		t.Errorf("found %q, %v", id, err)
	}
	var out bytes.Buffer
	if code, err := keeper.Shell(spec.ID, h.Args(Print, "inside"), nil, engine.Streams{Stdout: &out}); err != nil || code != 0 || out.String() != "inside" {
		t.Errorf("a shell: %d, %v, %q", code, err, out.String())
	}
	if err := s.Remove(); err != nil { // otherwise the check for leftovers finds it
		t.Error(err)
	}
	var gone *engine.NotKeptError
	if _, err := keeper.Shell(spec.ID, h.Args(Print, "inside"), nil, engine.Streams{}); !errors.As(err, &gone) {
		t.Errorf("a shell in a removed sandbox: got %v, want a NotKeptError", err)
	}
	if err := keeper.RemoveKept(spec.ID); !errors.As(err, &gone) {
		t.Errorf("a second removal: got %v, want a NotKeptError", err)
	}
}
