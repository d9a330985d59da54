package sandbox

import (
	"math"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"pgregory.net/rapid"
)

// TestBlocks: exactly one comparison is true for each number in a span, and none
// for other numbers.
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
				t.Fatalf("%d to %d: %d comparisons are true for %d, want %d", first, last, held, n, want)
			}
		}
		if len(rules) > 128 {
			t.Fatalf("got %d comparisons, want at most 128", len(rules))
		}
	})
}

// TestComplement: each number is either in the spans or in their complement.
func TestComplement(t *testing.T) {
	in := func(n uint64) func(span) bool { return func(s span) bool { return n >= s.first && n <= s.last } }
	for _, spans := range [][]span{nil, {{0, 0}}, {{0, 9}}, {{9, 9}}, {{1, 3}, {4, 4}, {7, 8}}} {
		for n := range uint64(10) {
			if slices.ContainsFunc(spans, in(n)) == slices.ContainsFunc(complement(spans, 9), in(n)) {
				t.Errorf("%d is in both or neither of %v and its complement", n, spans)
			}
		}
	}
}

// TestIoctlRules: exactly one rule applies to each request, by its lower 16 bits.
func TestIoctlRules(t *testing.T) {
	rules := ioctlRules()
	for request := range uint64(1 << 16) {
		refused := request == 0x5423 || request == 0x8940 || request == 0x8941 || request >= 0x8980 && request <= 0x89ff
		want := map[bool]specs.LinuxSeccompAction{true: specs.ActErrno, false: specs.ActAllow}[refused]
		for _, above := range []uint64{0, 1 << 16, 1 << 31, 1 << 32, math.MaxUint64 &^ 0xffff} {
			var held []specs.LinuxSeccompAction
			for _, r := range rules {
				if (request|above)&r.Args[0].Value == r.Args[0].ValueTwo {
					held = append(held, r.Action)
				}
			}
			if len(held) != 1 || held[0] != want {
				t.Fatalf("%#x: got %v, want %v", request|above, held, want)
			}
		}
	}
	t.Logf("%d rules", len(rules))
}
