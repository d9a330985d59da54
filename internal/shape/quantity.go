package shape

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
	"go.yaml.in/yaml/v3"
)

// quantity returns the shape of a number with a unit, which parse converts to a whole number of the smallest unit.
func quantity(types []string, parse func(string) (v int64, wrong, hint string)) Shape[int64] {
	return Unambiguous(Shape[int64]{Schema: Schema{"type": types}, Read: func(d *Decoder, n *yaml.Node, label string) (int64, bool) {
		n = Resolve(n)
		tag := n.ShortTag()
		if n.Kind != yaml.ScalarNode || tag != "!!str" && tag != "!!int" && tag != "!!float" {
			_, _, hint := parse("")
			d.Report(n, fmt.Sprintf("%s must be a number with a unit, not %s", label, Describe(n)), hint)
			return 0, false
		}
		v, wrong, hint := parse(n.Value)
		if wrong != "" {
			d.Report(n, fmt.Sprintf("%s %s %s", label, Quote(n.Value), wrong), hint)
			return 0, false
		}
		return v, true
	}})
}

// Size returns the shape of a number of bytes, such as 256Mi, 1.5G or 1048576.
func Size(least, most int64) Shape[int64] {
	return quantity([]string{"string", "integer"}, parseSize(least, most))
}

// Processors returns the shape of a number of processors, such as 2, 0.5 or 500m. The value is in thousandths of a processor;
// the range is 10m to 1024.
func Processors() Shape[int64] { return quantity([]string{"string", "number"}, parseCPU) }

// Bandwidth returns the shape of a rate, such as 10Mbps. The value is in bits per second; the range is 8kbps to 1000Gbps.
func Bandwidth() Shape[int64] { return quantity([]string{"string"}, parseBandwidth) }

// Duration returns the shape of a duration, such as 30s, 5m or 1h30m.
func Duration(least, most time.Duration) Shape[time.Duration] {
	return Convert(quantity([]string{"string"}, parseDuration(least, most)), func(v int64) time.Duration { return time.Duration(v) })
}

// sizeUnit returns the number of bytes in a unit. The units are those of Kubernetes quantities, and "K" besides its "k".
func sizeUnit(unit string) (factor uint64, ok bool) {
	switch unit {
	case "":
		return 1, true
	case "k", "K":
		return 1e3, true
	case "M":
		return 1e6, true
	case "G":
		return 1e9, true
	case "T":
		return 1e12, true
	case "Ki":
		return 1 << 10, true
	case "Mi":
		return 1 << 20, true
	case "Gi":
		return 1 << 30, true
	case "Ti":
		return 1 << 40, true
	}
	return 0, false
}

func rateUnit(unit string) (factor uint64, ok bool) {
	switch unit {
	case "bps":
		return 1, true
	case "kbps", "Kbps":
		return 1e3, true
	case "Mbps":
		return 1e6, true
	case "Gbps":
		return 1e9, true
	}
	return 0, false
}

// scale multiplies a decimal number such as "1.5" by factor and rounds up to a whole number. It works on integers, since a
// float would turn 0.1 into something else. It returns strconv.ErrSyntax for text that isn't such a number, and
// strconv.ErrRange for one that exceeds an int64.
func scale(number string, factor uint64) (int64, error) {
	whole, fraction, dotted := strings.Cut(number, ".")
	if whole == "" || len(fraction) > 9 || dotted && fraction == "" {
		return 0, strconv.ErrSyntax
	}
	if strings.Trim(whole, "0123456789") != "" || strings.Trim(fraction, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	w, err := strconv.ParseUint(whole, 10, 64)
	if err != nil {
		return 0, strconv.ErrRange // it consists of digits, so it is too large
	}
	high, low := bits.Mul64(w, factor)
	if high != 0 {
		return 0, strconv.ErrRange
	}
	if fraction != "" {
		f, _ := strconv.ParseUint(fraction, 10, 64) // at most nine digits
		power := uint64(math.Pow10(len(fraction)))
		// f < power <= 1e9 and factor <= 2^40, so the product may need more than 64 bits.
		h, l := bits.Mul64(f, factor)
		quotient, rest := bits.Div64(h, l, power)
		if rest > 0 {
			quotient++
		}
		var carry uint64
		if low, carry = bits.Add64(low, quotient, 0); carry != 0 {
			return 0, strconv.ErrRange
		}
	}
	if low > math.MaxInt64 {
		return 0, strconv.ErrRange
	}
	return int64(low), nil
}

// splitUnit splits "1.5Gi" into "1.5" and "Gi".
func splitUnit(s string) (number, unit string) {
	i := len(s)
	for i > 0 && s[i-1] != '.' && (s[i-1] < '0' || s[i-1] > '9') {
		i--
	}
	return s[:i], s[i:]
}

// parseSize returns a parser of sizes in bytes, such as 256Mi, 1.5G or 1048576, between two bounds.
func parseSize(least, most int64) func(string) (v int64, wrong, hint string) {
	return func(s string) (int64, string, string) {
		number, unit := splitUnit(s)
		factor, known := sizeUnit(unit)
		v, err := scale(number, factor)
		if !known || errors.Is(err, strconv.ErrSyntax) {
			hint := "write a number with a unit, such as 256Mi or 1G"
			if short, found := strings.CutSuffix(unit, "B"); found && number != "" {
				if _, known := sizeUnit(short); known && short != "" {
					hint = "write " + number + short
				}
			}
			return 0, "is not a size", hint
		}
		if err != nil || v < least || v > most {
			return 0, "is out of range", fmt.Sprintf("it must be from %s to %s", FormatSize(least), FormatSize(most))
		}
		return v, "", ""
	}
}

// FormatSize writes a size as in a definition: in the largest unit that divides it, with binary units first.
func FormatSize(v int64) string {
	for _, unit := range []string{"Ti", "Gi", "Mi", "Ki", "T", "G", "M", "k"} {
		factor, _ := sizeUnit(unit)
		if v != 0 && v%int64(factor) == 0 {
			return strconv.FormatInt(v/int64(factor), 10) + unit
		}
	}
	return strconv.FormatInt(v, 10)
}

// parseCPU parses a number of processors, such as 500m, 2 or 0.5, and returns it in thousandths.
func parseCPU(s string) (v int64, wrong, hint string) {
	const least, most = 10, 1024 * 1000
	number, unit := splitUnit(s)
	factor := uint64(1000)
	if unit == "m" {
		factor = 1
	}
	v, err := scale(number, factor)
	if errors.Is(err, strconv.ErrSyntax) || unit != "" && unit != "m" {
		return 0, "is not a number of processors", "write a number of processors, or of thousandths, such as 2, 0.5 or 500m"
	}
	const span = "it must be from 10m to 1024"
	if err != nil {
		return 0, "is out of range", span
	}
	// scale rounds up, but a finer number of processors is more likely a mistake than intended.
	if _, fraction, _ := strings.Cut(number, "."); len(strings.TrimRight(fraction, "0")) > 3 || unit == "m" && strings.Trim(fraction, "0") != "" {
		return 0, "is finer than a thousandth of a processor", fmt.Sprintf("write %dm", v)
	}
	if v < least || v > most {
		return 0, "is out of range", span
	}
	return v, "", ""
}

// parseBandwidth parses a rate in bits per second: 10Mbps, 1Gbps or 500kbps.
func parseBandwidth(s string) (v int64, wrong, hint string) {
	const least, most = 8_000, 1_000_000_000_000
	number, unit := splitUnit(s)
	factor, known := rateUnit(unit)
	v, err := scale(number, factor)
	if !known || errors.Is(err, strconv.ErrSyntax) {
		hint := "write bits per second with a unit, such as 10Mbps or 1Gbps"
		if strings.HasSuffix(unit, "Bps") || strings.HasSuffix(unit, "B/s") {
			hint = "it is in bits, not bytes, per second: write it as 10Mbps or 1Gbps"
		}
		return 0, "is not a bandwidth", hint
	}
	if err != nil || v < least || v > most {
		return 0, "is out of range", "it must be from 8kbps to 1000Gbps"
	}
	return v, "", ""
}

// goDuration matches what time.ParseDuration accepts, of any size.
var goDuration = lazyregexp.New(`^[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+$`)

// parseDuration returns a parser of durations as Go writes them, such as 90s, 5m or 1h30m, between two bounds.
func parseDuration(least, most time.Duration) func(string) (v int64, wrong, hint string) {
	return func(s string) (int64, string, string) {
		const hint = "write a number with a unit, such as 30s, 5m or 1h30m"
		if s != "" && strings.Trim(s, "0123456789") == "" {
			if len(s) < 10 {
				return 0, "has no unit", "write " + s + "s for seconds"
			}
			return 0, "has no unit", hint
		}
		d, err := time.ParseDuration(s)
		large := err != nil && goDuration().MatchString(s)
		if err != nil && !large {
			return 0, "is not a duration", hint
		}
		if large || d < least || d > most {
			return 0, "is out of range", fmt.Sprintf("it must be from %s to %s", FormatDuration(least), FormatDuration(most))
		}
		return int64(d), "", ""
	}
}

// FormatDuration writes a duration without the units that are zero: 1h instead of 1h0m0s.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
