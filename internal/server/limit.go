package server

import (
	"container/list"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/time/rate"

	"github.com/mayfly-run/mayfly/internal/run"
)

// Limits bound how many requests the server takes. A bucket has as many tokens as are allowed in two seconds or, for failures, in two
// minutes.
type Limits struct {
	Requests float64 // of one token, a second; 0 for any number. Each runner has ten times as many
	Failures float64 // without a valid token, of one address, a minute; 0 for any number
}

// DefaultLimits let pass all but mistakes and attacks.
func DefaultLimits() Limits { return Limits{Requests: 2000, Failures: 10} }

const (
	runnerFactor = 10
	mostBuckets  = 10_000
)

// limiter has the buckets of those whose requests it counts. When there are too many, it forgets who has been silent for longest: that one
// begins with a full bucket.
type limiter struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]*list.Element
	recent  *list.List // of *bucket, the one that was used last at the front
}

type bucket struct {
	key     string
	rate    *rate.Limiter
	refuses bool
}

func newLimiter() *limiter {
	return &limiter{now: time.Now, buckets: map[string]*list.Element{}, recent: list.New()}
}

// take takes a token of a bucket, if it has one. Otherwise it returns how long until it has one, and whether this is the first refusal in a
// row.
func (l *limiter) take(key string, perSecond, burst float64) (wait time.Duration, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key, perSecond, burst)
	if wait, first = l.refusal(b); wait == 0 {
		b.rate.AllowN(l.now(), 1)
	}
	return wait, first
}

// draw is take for those who wait instead of being refused.
func (l *limiter) draw(key string, perSecond, burst float64) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key, perSecond, burst)
	if wait = l.missing(b); wait == 0 {
		b.rate.AllowN(l.now(), 1)
	}
	return wait
}

// look is take without taking a token.
func (l *limiter) look(key string, perSecond, burst float64) (wait time.Duration, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusal(l.bucket(key, perSecond, burst))
}

// spend takes a token that may not be there yet: those who have looked at once all pay.
func (l *limiter) spend(key string, perSecond, burst float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bucket(key, perSecond, burst).rate.ReserveN(l.now(), 1)
}

// bucket returns the bucket of a key. The caller holds mu.
func (l *limiter) bucket(key string, perSecond, burst float64) *bucket {
	at := l.buckets[key]
	if at == nil {
		if l.recent.Len() >= mostBuckets {
			delete(l.buckets, l.recent.Remove(l.recent.Back()).(*bucket).key) //nolint:forcetypeassert // the list has only these
		}
		limit := rate.Limit(perSecond)
		if perSecond <= 0 {
			limit = rate.Inf
		}
		at = l.recent.PushFront(&bucket{key: key, rate: rate.NewLimiter(limit, max(1, int(burst)))})
		l.buckets[key] = at
	}
	l.recent.MoveToFront(at)
	return at.Value.(*bucket) //nolint:forcetypeassert // the list has only these
}

// refusal returns how long until a bucket has a token, or 0, and whether it refuses for the first time in a row. The caller holds mu.
func (l *limiter) refusal(b *bucket) (wait time.Duration, first bool) {
	wait = l.missing(b)
	first, b.refuses = wait > 0 && !b.refuses, wait > 0
	return wait, first
}

// missing returns how long until a bucket has a token, or 0. The caller holds mu.
func (l *limiter) missing(b *bucket) time.Duration {
	have := b.rate.TokensAt(l.now())
	if have >= 1 {
		return 0
	}
	return time.Duration((1 - have) / float64(b.rate.Limit()) * float64(time.Second))
}

// limitToken says whether a request of a token may pass, and answers it otherwise.
func (s *Server) limitToken(c huma.Context, who identity) bool {
	wait, first := s.limiter.take(s.bucketOf(who, c.Param("name")))
	if wait == 0 {
		return true
	}
	s.refuseLimited(c, wait, first, fmt.Sprintf("the token %s makes more than %g requests a second", who.Name, s.rateOf(who)))
	return false
}

// bucketOf is the bucket of whoever asks. name is that of a runner.
func (s *Server) bucketOf(who identity, name string) (key string, perSecond, burst float64) {
	key, perSecond = "token "+string(who.Hash), s.rateOf(who)
	if who.Role == RoleRunner {
		key += name
	}
	return key, perSecond, 2 * perSecond
}

// rateOf is how many requests a second whoever asks may make.
func (s *Server) rateOf(who identity) float64 {
	if who.Role == RoleRunner {
		return s.limits.Requests * runnerFactor
	}
	return s.limits.Requests
}

// mayFail says whether a request that may have no valid token is looked at, and answers it otherwise.
func (s *Server) mayFail(c huma.Context) bool {
	wait, first := s.limiter.look(failuresOf(c), s.limits.Failures/60, 2*s.limits.Failures)
	if wait == 0 {
		return true
	}
	s.refuseLimited(c, wait, first, "too many requests without a valid token come from this address")
	return false
}

// countFailure counts a request without a valid token.
func (s *Server) countFailure(c huma.Context) {
	s.limiter.spend(failuresOf(c), s.limits.Failures/60, 2*s.limits.Failures)
}

func failuresOf(c huma.Context) string { return "address " + network(addressOf(c.RemoteAddr())) }

// network is what one client can be expected to have: of IPv6 a whole network of 64 bits.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	p, _ := ip.Prefix(64) // an IPv6 address has more bits
	return p.String()
}

// refuseLimited answers a request that is too many. The audit log has only the first one in a row: it must not grow with them.
func (s *Server) refuseLimited(c huma.Context, wait time.Duration, first bool, why string) {
	seconds := int(math.Ceil(wait.Seconds()))
	p := problem(http.StatusTooManyRequests, run.CodeRateLimited, why, fmt.Sprintf("wait for %d s, and send fewer", seconds))
	if r, ok := c.Context().Value(recordKey{}).(*record); ok {
		r.changes = first
	}
	c.SetHeader("Retry-After", strconv.Itoa(seconds))
	s.refuse(c, p)
}
