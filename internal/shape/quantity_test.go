package shape

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuantities(t *testing.T) {
	size := parseSize(0, math.MaxInt64)
	tests := []struct {
		kind  string
		parse func(string) (int64, string, string)
		text  string
		want  int64 // -1: refused
	}{
		{"size", size, "0", 0},
		{"size", size, "1048576", 1 << 20},
		{"size", size, "256Mi", 256 << 20},
		{"size", size, "1G", 1e9},
		{"size", size, "1k", 1000},
		{"size", size, "1K", 1000},
		{"size", size, "1Ki", 1024},
		{"size", size, "2Ti", 2 << 40},
		{"size", size, "1.5Gi", 3 << 29},
		{"size", size, "0.1Ki", 103}, // 102.4 rounded up
		{"size", size, "9223372036854775807", math.MaxInt64},
		{"size", size, "9223372036854775808", -1},
		{"size", size, "8388608Ti", -1},
		{"size", size, "18446744073709551615", -1},
		{"size", size, "99999999999999999999", -1},
		{"size", size, "", -1},
		{"size", size, "Mi", -1},
		{"size", size, ".5Gi", -1},
		{"size", size, "1.", -1},
		{"size", size, "1.1.1", -1},
		{"size", size, "-1", -1},
		{"size", size, "+1", -1},
		{"size", size, " 1", -1},
		{"size", size, "1 Gi", -1},
		{"size", size, "1gi", -1},
		{"size", size, "1e3", -1},
		{"size", size, "0x10", -1},
		{"cpu", parseCPU, "1", 1000},
		{"cpu", parseCPU, "0.5", 500},
		{"cpu", parseCPU, "500m", 500},
		{"cpu", parseCPU, "1.250", 1250},
		{"cpu", parseCPU, "10m", 10},
		{"cpu", parseCPU, "1024", 1024000},
		{"cpu", parseCPU, "9m", -1},
		{"cpu", parseCPU, "1025", -1},
		{"cpu", parseCPU, "0.0101", -1},
		{"cpu", parseCPU, "100.5m", -1},
		{"cpu", parseCPU, "1G", -1},
		{"cpu", parseCPU, "", -1},
		{"bandwidth", parseBandwidth, "10Mbps", 10_000_000},
		{"bandwidth", parseBandwidth, "500kbps", 500_000},
		{"bandwidth", parseBandwidth, "1.5Gbps", 1_500_000_000},
		{"bandwidth", parseBandwidth, "8000bps", 8000},
		{"bandwidth", parseBandwidth, "7999bps", -1},
		{"bandwidth", parseBandwidth, "10", -1},
		{"bandwidth", parseBandwidth, "10MBps", -1},
		{"duration", parseDuration(0, time.Hour), "1h", int64(time.Hour)},
		{"duration", parseDuration(0, time.Hour), "1m30s", int64(90 * time.Second)},
		{"duration", parseDuration(0, time.Hour), "61m", -1},
		{"duration", parseDuration(0, time.Hour), "30", -1},
		{"duration", parseDuration(0, time.Hour), "", -1},
	}
	for _, tt := range tests {
		t.Run(tt.kind+" "+tt.text, func(t *testing.T) {
			got, wrong, _ := tt.parse(tt.text)
			if tt.want < 0 && wrong == "" || tt.want >= 0 && (wrong != "" || got != tt.want) {
				t.Errorf("got %d, %q; want %d", got, wrong, tt.want)
			}
		})
	}
}

func TestShortDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Hour: "1h", 90 * time.Second: "1m30s", time.Minute: "1m", 10 * time.Second: "10s", 0: "0s", 100 * time.Millisecond: "100ms"} {
		if got := FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%d) = %q, want %q", d, got, want)
		}
	}
}

// TestSizeAgainstRationals compares parseSize with exact arithmetic.
func TestSizeAgainstRationals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := fmt.Sprint(rapid.Uint64Range(0, 1<<45).Draw(t, "whole"))
		if digits := rapid.StringMatching(`[0-9]{0,9}`).Draw(t, "fraction"); digits != "" {
			number += "." + digits
		}
		unit := rapid.SampledFrom([]string{"", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"}).Draw(t, "unit")
		factor, _ := sizeUnit(unit)
		exact, _ := new(big.Rat).SetString(number)
		exact.Mul(exact, new(big.Rat).SetUint64(factor))
		up := new(big.Int).Add(exact.Num(), new(big.Int).Sub(exact.Denom(), big.NewInt(1)))
		up.Div(up, exact.Denom())
		got, wrong, _ := parseSize(0, math.MaxInt64)(number + unit)
		if up.IsInt64() != (wrong == "") || up.IsInt64() && got != up.Int64() {
			t.Fatalf("%s%s: got %d, %q; want %s", number, unit, got, wrong, up)
		}
	})
}

func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"256Mi", "1.5G", "500m", "0.5", "10Mbps", "1h30m", "-1", "1e9", "٣Mi", "999999999999999999999Ti"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parsers := map[string]struct {
			parse       func(string) (int64, string, string)
			least, most int64
		}{
			"size":      {parseSize(4<<20, 16<<40), 4 << 20, 16 << 40},
			"cpu":       {parseCPU, 10, 1024000},
			"bandwidth": {parseBandwidth, 8000, 1e12},
			"duration":  {parseDuration(time.Second, time.Hour), int64(time.Second), int64(time.Hour)},
		}
		for kind, p := range parsers {
			v, wrong, _ := p.parse(s)
			if wrong != "" {
				if v != 0 {
					t.Errorf("%s %q: refused, but the value is %d, want 0", kind, s, v)
				}
				continue
			}
			if v < p.least || v > p.most {
				t.Errorf("%s %q: %d is out of range", kind, s, v)
			}
			if strings.TrimSpace(s) != s {
				t.Errorf("%s %q: white space is accepted", kind, s)
			}
			if kind == "size" {
				if back, wrong, _ := p.parse(FormatSize(v)); wrong != "" || back != v {
					t.Errorf("size %q: %d is written %s, which reads as %d", s, v, FormatSize(v), back)
				}
			}
		}
	})
}
