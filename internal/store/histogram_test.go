package store

import (
	"testing"
	"time"
)

// count is a histogram of durations, counted as the database does.
func count(all ...time.Duration) (h Histogram) {
	for _, d := range all {
		i := 0
		for i < len(h)-1 && d.Milliseconds() >= h.Bound(i).Milliseconds() {
			i++
		}
		h[i]++
	}
	return h
}

func TestQuantile(t *testing.T) {
	var even []time.Duration
	for n := range 1000 {
		even = append(even, time.Duration(n+1)*100*time.Millisecond)
	}
	for name, c := range map[string]struct {
		all  []time.Duration
		part float64
		want time.Duration
	}{
		"none":     {nil, 0.5, 0},
		"one":      {[]time.Duration{time.Minute}, 0.99, time.Minute},
		"two":      {[]time.Duration{time.Second, time.Hour}, 0.5, time.Second},
		"the last": {[]time.Duration{time.Second, time.Hour}, 0.95, time.Hour},
		"median":   {even, 0.5, 50 * time.Second},
		"p95":      {even, 0.95, 95 * time.Second},
		"p99":      {even, 0.99, 99 * time.Second},
		"short":    {[]time.Duration{8 * time.Millisecond}, 0.5, 8 * time.Millisecond},
		"long":     {[]time.Duration{16 * time.Hour}, 0.5, 16 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			h := count(c.all...)
			got := h.Quantile(c.part)
			if ratio := float64(got) / float64(max(1, c.want)); got != c.want && (ratio < 1/1.8 || ratio > 1.8) {
				t.Errorf("%s, want about %s", got, c.want)
			}
			if h.Number() != int64(len(c.all)) {
				t.Errorf("%d durations, want %d", h.Number(), len(c.all))
			}
		})
	}
}
