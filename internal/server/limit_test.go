package server

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// limited is a rig with limits and a clock.
func limited(t *testing.T, l Limits) (*rig, *clock) {
	t.Helper()
	r, c := newRig(t), &clock{at: time.Now()}
	r.limits, r.limiter.now = l, c.now
	return r, c
}

// passes counts how many requests are answered with another status than 429 before the first that is.
func (r *rig) passes(t *testing.T, most int, token string) int {
	t.Helper()
	for n := range most {
		if status, p := r.call(t, "GET", "/api/v1/projects/own/runs", token, ""); status == http.StatusTooManyRequests {
			if p.Reason != run.CodeRateLimited || !strings.HasPrefix(p.Remedy, "wait for ") {
				t.Errorf("the problem is %+v", p)
			}
			return n
		}
	}
	return most
}

func TestLimitOfTokens(t *testing.T) {
	r, c := limited(t, Limits{Requests: 5})
	if n := r.passes(t, 20, r.tokens[RoleViewer]); n != 10 {
		t.Errorf("%d requests pass, want those of two seconds", n)
	}
	if n := r.passes(t, 5, r.tokens[RoleOperator]); n != 5 {
		t.Errorf("%d requests of another token pass", n)
	}
	c.pass(time.Second)
	if n := r.passes(t, 20, r.tokens[RoleViewer]); n != 5 {
		t.Errorf("a second later %d requests pass, want 5", n)
	}
	before := len(r.log(t))
	for range 20 {
		_, _ = r.call(t, "POST", "/api/v1/projects/own/runs/x/cancel", r.tokens[RoleAdmin], "")
	}
	if got := r.since(t, before); len(got) != 11 || got[10] != "admin cancel-run own runs/x/cancel rate_limited map[]" {
		t.Errorf("the audit log has %q: want one entry for all that were too many", got)
	}
	// Each runner of a token has its own bucket, and a larger one.
	for _, name := range []string{"a", "b"} {
		for i := range 120 {
			status, _ := r.call(t, "POST", "/api/v1/runner/"+name+"/"+strings.Repeat("i", 26)+"/reports", r.tokens[RoleRunner], "{")
			if limited := status == http.StatusTooManyRequests; limited != (i >= 100) {
				t.Fatalf("report %d of runner %s: status %d", i, name, status)
			}
		}
	}
}

func TestLimitOfFailures(t *testing.T) {
	r, c := limited(t, Limits{Failures: 5})
	if status, _ := r.call(t, "GET", "/api/v1/projects/own/runs", r.tokens[RoleViewer], ""); status != http.StatusOK {
		t.Fatalf("a valid token: %d", status)
	}
	before := len(r.log(t))
	if n := r.passes(t, 20, "mfly_wrong"); n != 10 {
		t.Errorf("%d wrong tokens are looked at, want 10", n)
	}
	for _, token := range []string{"", "mfly_wrong"} {
		if n := r.passes(t, 3, token); n != 0 {
			t.Errorf("%d more with %q", n, token)
		}
	}
	if got := r.since(t, before); len(got) != 11 || got[10] != " list-runs own runs rate_limited map[]" {
		t.Errorf("the audit log has %q: want each failure, and one entry for all that were too many", got)
	}
	if n := r.passes(t, 20, r.tokens[RoleViewer]); n != 20 {
		t.Errorf("%d requests of a token that was valid before pass", n)
	}
	if n := r.passes(t, 20, r.tokens[RoleAuthor]); n != 0 {
		t.Errorf("%d requests of a token that nobody has seen pass", n)
	}
	c.pass(time.Minute)
	if n := r.passes(t, 20, r.tokens[RoleAuthor]); n != 20 {
		t.Errorf("a minute later %d requests of it pass", n)
	}
	before = len(r.log(t))
	if n := r.passes(t, 20, "mfly_wrong"); n != 5 {
		t.Errorf("a minute later %d wrong tokens are looked at, want 5", n)
	}
	if got := r.since(t, before); len(got) != 6 || got[5] != " list-runs own runs rate_limited map[]" {
		t.Errorf("the audit log has %q: want one entry for the next ones that are too many", got)
	}
}

func TestRetryAfter(t *testing.T) {
	r, _ := limited(t, Limits{Requests: 0.1})
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/v1/projects/own/runs", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+r.tokens[RoleViewer])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if after := resp.Header.Get("Retry-After"); (after == "10") != (resp.StatusCode == http.StatusTooManyRequests) {
			t.Errorf("status %d, Retry-After %q", resp.StatusCode, after)
		}
	}
}

// TestLimiterForgets has more clients than the limiter remembers.
func TestLimiterForgets(t *testing.T) {
	l, c := newLimiter(), &clock{at: time.Now()}
	l.now = c.now
	l.take("first", 1, 1)
	for i := range mostBuckets - 1 {
		l.take(fmt.Sprint(i), 1, 1)
	}
	if wait, _ := l.take("first", 1, 1); wait == 0 {
		t.Error("the first is forgotten too early")
	}
	for i := range 10 {
		l.take(fmt.Sprint("more", i), 1, 1)
	}
	if len(l.buckets) != mostBuckets || l.recent.Len() != mostBuckets {
		t.Errorf("%d and %d buckets", len(l.buckets), l.recent.Len())
	}
	if wait, _ := l.take("first", 1, 1); wait == 0 {
		t.Error("one that was used lately is forgotten")
	}
	if wait, _ := l.take("0", 1, 1); wait != 0 {
		t.Error("the one that was used least lately isn't forgotten")
	}
}

// TestFailuresAtOnce has many look before the first of them has failed: each counts, and the first refusal is the first one in a row.
func TestFailuresAtOnce(t *testing.T) {
	l, c := newLimiter(), &clock{at: time.Now()}
	l.now = c.now
	for range 30 {
		if wait, _ := l.look("a", 1, 10); wait != 0 {
			t.Fatal("refused before any has failed")
		}
	}
	for range 30 {
		l.spend("a", 1, 10)
	}
	if wait, first := l.look("a", 1, 10); wait.Round(time.Second) != 21*time.Second || !first {
		t.Errorf("the next one waits for %s, the first one refused: %t", wait, first)
	}
	if _, first := l.look("a", 1, 10); first {
		t.Error("the second one is the first, too")
	}
	for range 30 {
		l.spend("any number", 0, 0)
	}
	if wait, _ := l.take("any number", 0, 0); wait != 0 {
		t.Errorf("where any number may fail, the next one waits for %s", wait)
	}
}

// TestDraw has a stream wait for its turn: the next request that is refused is the first one.
func TestDraw(t *testing.T) {
	l, c := newLimiter(), &clock{at: time.Now()}
	l.now = c.now
	if wait := l.draw("a", 1, 1); wait != 0 {
		t.Errorf("the first one waits for %s", wait)
	}
	if wait := l.draw("a", 1, 1); wait.Round(time.Second) != time.Second {
		t.Errorf("the next one waits for %s", wait)
	}
	if wait, first := l.take("a", 1, 1); wait == 0 || !first {
		t.Errorf("a request waits for %s, the first one refused: %t", wait, first)
	}
	l.draw("a", 1, 1)
	if _, first := l.take("a", 1, 1); first {
		t.Error("the second one refused is the first, too")
	}
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "odd": "odd",
	} {
		if got := network(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// TestEndOfATokenOnly ends a token behind an address that has used up its failures: the others pass as before.
func TestEndOfATokenOnly(t *testing.T) {
	r, _ := limited(t, Limits{Failures: 5})
	for _, role := range []string{RoleViewer, "own " + RoleViewer, RoleOperator} {
		if status, _ := r.call(t, "GET", "/api/v1/projects/own/runs", r.tokens[role], ""); status != http.StatusOK {
			t.Fatalf("%s: %d", role, status)
		}
	}
	r.passes(t, 20, "mfly_wrong")
	if err := r.deleteToken(t.Context(), "own", RoleViewer); err != nil {
		t.Fatal(err)
	}
	for role, want := range map[string]int{RoleViewer: http.StatusOK, RoleOperator: http.StatusOK, "own " + RoleViewer: http.StatusTooManyRequests} {
		if status, _ := r.call(t, "GET", "/api/v1/projects/own/runs", r.tokens[role], ""); status != want {
			t.Errorf("%s: %d, want %d", role, status, want)
		}
	}
}
