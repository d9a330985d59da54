package sandbox

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// TestArguments: the constructors in C read the arguments that package wire writes.
func TestArguments(t *testing.T) {
	args := append([]string{"mayfly-shim"}, wire.Arguments(100000, 65536, wire.Here)...)
	if len(args) != argumentCount || wire.ArgumentCount != argumentCount || !wire.Supervises(args) {
		t.Fatalf("got %d arguments, and %d in wire, want %d: %q", len(args), wire.ArgumentCount, argumentCount, args)
	}
	for at, want := range map[int]string{
		argumentSupervise: supervise, argumentFirstID: "100000", argumentIDCount: "65536", argumentPlace: here,
	} {
		if args[at] != want {
			t.Errorf("argument %d: got %q, want %q", at, args[at], want)
		}
	}
}
