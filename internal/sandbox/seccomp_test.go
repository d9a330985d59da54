package sandbox

import (
	"math"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"pgregory.net/rapid"
)

// TestBlocks: the comparisons hold for the numbers of the spans, each by one of
// them, and for no other.
func TestBlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := rapid.SampledFrom([]uint64{100, 1 << 33, math.MaxUint64}).Draw(t, "top")
		first := rapid.Uint64Range(0, top).Draw(t, "first")
		last := rapid.Uint64Range(first, top).Draw(t, "last")
		rules := blocks(0, []span{{first, last}})
		for _, n := range []uint64{0, first - 1, first, last, last + 1, math.MaxUint64, rapid.Uint64().Draw(t, "n"), rapid.Uint64Range(first, last).Draw(t, "inside")} {
			held := 0
			for _, r := range rules {
				if n&r.Value == r.ValueTwo {
					held++
				}
			}
			want := 0
			if n >= first && n <= last {
				want = 1
			}
			if held != want {
				t.Fatalf("%d to %d: %d comparisons hold for %d", first, last, held, n)
			}
		}
		if len(rules) > 128 {
			t.Fatalf("%d comparisons", len(rules))
		}
	})
}

// TestOtherThan: each value of 32 bits is decided once, and those with their
// sign, too.
func TestOtherThan(t *testing.T) {
	rules := otherThan("ioctl", 1, loadingIoctls...)
	for _, value := range []uint64{0, 1, 0x5422, 0x5423, 0x5424, 0x893f, 0x8940, 0x8941, 0x8942, 0x897f, 0x8980, 0x8983, 0x8984, 0x899f, 0x89a0, 0x89a3, 0x89a4, math.MaxUint32, 1 << 32, 1<<32 | 0x5423, 1 << 63, math.MaxUint64} {
		var held []specs.LinuxSeccompAction
		for _, r := range rules {
			if value&r.Args[0].Value == r.Args[0].ValueTwo {
				held = append(held, r.Action)
			}
		}
		want := specs.ActAllow
		for _, refused := range loadingIoctls {
			if value >= refused.first && value <= refused.last {
				want = specs.ActErrno
			}
		}
		beyond := value > math.MaxUint32 && value < math.MaxUint64-math.MaxInt32
		if beyond && len(held) > 0 || !beyond && (len(held) != 1 || held[0] != want) {
			t.Errorf("%#x: %v", value, held)
		}
	}
}
