package store

import (
	"math"
	"time"
)

// Histogram counts durations. Its buckets are on a logarithmic scale, four for a factor of ten: the first has those below 10 ms, the next those
// below 18 ms, and the last those from about 15 hours on.
type Histogram [29]int64

// Bound is the upper bound of a bucket; the last one has none.
func (Histogram) Bound(bucket int) time.Duration {
	return time.Duration(math.Round(math.Pow(10, 1+float64(bucket)/4))) * time.Millisecond
}

// Number is how many durations there are.
func (h *Histogram) Number() (n int64) {
	for _, one := range h {
		n += one
	}
	return n
}

// Quantile returns a duration that about that part of all is not longer than. Within a bucket, they are taken to be spread evenly on the
// logarithmic scale, so it is off by less than a factor of 1.8. It is 0 if there are none.
func (h *Histogram) Quantile(part float64) time.Duration {
	n := h.Number()
	if n == 0 {
		return 0
	}
	rank, before := max(1, math.Ceil(part*float64(n))), 0.0
	for i, one := range h {
		if before+float64(one) < rank {
			before += float64(one)
			continue
		}
		if i == len(h)-1 {
			return h.Bound(i - 1)
		}
		within := (rank - before - 0.5) / float64(one)
		return time.Duration(math.Pow(10, 0.75+(float64(i)+within)/4) * float64(time.Millisecond))
	}
	return 0
}
