package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// streams are the operations whose answers last. Their time says nothing, so they are counted while they are open.
var streams = map[string]bool{"follow-run": true, "follow-runs": true, "follow-drafts": true, "runner-messages": true, "open-shell": true, "runner-shell": true}

// transfers are the operations whose time is that of the client's line: it says nothing of the server either.
var transfers = map[string]bool{
	"download-log": true, "download-events": true, "get-artifact": true, "get-file": true, "get-draft-file": true, "put-content": true, "runner-content": true, "runner-put-content": true,
}

// otherPool stands for the pools that no runner serves: whoever may run a tool can name any pool, and a label must not have any value.
const otherPool = "other"

// metrics is what Prometheus reads. The values of all labels are from the API's description, from runners' tokens, or from lists in the
// code, so that nobody can make more of them.
type metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	open      *prometheus.GaugeVec
	ended     *prometheus.CounterVec
	lost      prometheus.Counter
	writes    prometheus.Histogram
	groups    prometheus.Histogram
	failed    prometheus.Counter
}

func newMetrics(s *Server, version string) *metrics {
	// From a millisecond to half a minute: a request waits for one or two syncs of the disk, and a push for the network.
	seconds := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mayfly_http_requests_total", Help: "Requests that were answered, by operation of the API and HTTP status.",
		}, []string{"operation", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mayfly_http_request_duration_seconds", Help: "Time from a request until its answer was written, except for streams and files.", Buckets: seconds,
		}, []string{"operation"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mayfly_streams_open", Help: "Streams that are open: readers of runs, and connected runners.",
		}, []string{"operation"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mayfly_runs_ended_total", Help: "Runs that have ended, also those of steps of workflows, by status.",
		}, []string{"status"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mayfly_leases_lost_total", Help: "Attempts whose runner was silent for longer than its lease, or was started again.",
		}),
		writes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mayfly_database_write_duration_seconds", Help: "Time of a transaction, from its beginning until it was durable or had failed.", Buckets: seconds,
		}),
		groups: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mayfly_database_write_group_size", Help: "How many writes shared a transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mayfly_database_write_failures_total", Help: "Transactions that failed; their writes were tried again, or failed too.",
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mayfly_build_info", Help: "1, with the version of the server as a label.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	for _, status := range run.Ends() {
		m.ended.WithLabelValues(string(status)) // so that a rate of one that hasn't happened yet is 0, and not missing
	}
	for name := range streams {
		m.open.WithLabelValues(name)
	}
	m.registry.MustRegister(m.requests, m.durations, m.open, m.ended, m.lost, m.writes, m.groups, m.failed, build, &stock{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// wrote counts a transaction.
func (m *metrics) wrote(w store.Written) {
	m.writes.Observe(w.Took.Seconds())
	m.groups.Observe(float64(w.Writes))
	if w.Failed {
		m.failed.Inc()
	}
	for _, one := range w.Ended {
		m.ended.WithLabelValues(string(one.Status)).Inc()
	}
}

// measure counts a request of the API, also one whose answer is broken off by a panic.
func (s *Server) measure(c huma.Context, next func(huma.Context)) {
	name, began := c.Operation().OperationID, time.Now()
	if streams[name] {
		open := s.metrics.open.WithLabelValues(name)
		open.Inc()
		defer open.Dec()
	}
	defer func() {
		if !streams[name] && !transfers[name] {
			s.metrics.durations.WithLabelValues(name).Observe(time.Since(began).Seconds())
		}
		_, w := humago.Unwrap(c)
		s.metrics.count(name, w)
	}()
	next(c)
}

// count counts an answer. A server sends no status that isn't in a list of HTTP.
func (m *metrics) count(operation string, w http.ResponseWriter) {
	m.requests.WithLabelValues(operation, strconv.Itoa(statusOf(w))).Inc()
}

// statusOf is the status of an answer.
func statusOf(w http.ResponseWriter) int {
	if a, ok := w.(*answered); ok && a.code != 0 {
		return a.code
	}
	return http.StatusOK
}

// scrapeTime bounds how long the answer to Prometheus waits for the database.
const scrapeTime = 5 * time.Second

// stock reads from the store what waits and who is there, at each scrape. Replicas that share a database say the same.
type stock struct{ s *Server }

var (
	queuedDesc = prometheus.NewDesc("mayfly_queue_runs",
		"Runs that wait for a runner, by pool; other are those of pools that no runner served for a day.", []string{"pool"}, nil)
	oldestDesc = prometheus.NewDesc("mayfly_queue_oldest_age_seconds",
		"How long ago the oldest run that waits was accepted, by pool; 0 if none waits.", []string{"pool"}, nil)
	runnersDesc = prometheus.NewDesc("mayfly_runners",
		"Runners that were connected within a day, by pool and state: ready, draining or away.", []string{"pool", "state"}, nil)
	slotsDesc = prometheus.NewDesc("mayfly_runner_slots",
		"How many runs the runners of a pool that aren't away can carry out, by whether they do: busy or free.", []string{"pool", "state"}, nil)
)

// Describe implements prometheus.Collector.
func (c *stock) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queuedDesc, oldestDesc, runnersDesc, slotsDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector. If the database doesn't answer, these metrics are missing and the scrape fails.
func (c *stock) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime) // a collector gets no context
	defer cancel()
	runners, err := c.s.store.Runners(ctx, listed)
	if err != nil {
		out <- prometheus.NewInvalidMetric(runnersDesc, err)
		return
	}
	queued, err := c.s.store.Queued(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(queuedDesc, err)
		return
	}
	type key struct{ pool, state string }
	count, slots := map[key]int{}, map[key]int{}
	runs, oldest := map[string]int{defaultPool: 0, otherPool: 0}, map[string]time.Duration{}
	for _, r := range runners {
		runs[r.Pool] += 0
		state := c.s.stateOf(r)
		for _, one := range []string{runnerReady, runnerDraining, runnerAway} {
			count[key{r.Pool, one}] += 0
		}
		count[key{r.Pool, state}]++
		if state != runnerAway {
			slots[key{r.Pool, "busy"}] += r.Busy
			slots[key{r.Pool, "free"}] += max(0, r.Slots-r.Busy)
		}
	}
	for _, q := range queued {
		pool := q.Pool
		if _, served := runs[pool]; !served {
			pool = otherPool
		}
		runs[pool] += q.Runs
		oldest[pool] = max(oldest[pool], q.Oldest)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for pool, n := range runs {
		gauge(queuedDesc, float64(n), pool)
		gauge(oldestDesc, oldest[pool].Seconds(), pool)
	}
	for k, n := range count {
		gauge(runnersDesc, float64(n), k.pool, k.state)
	}
	for k, n := range slots {
		gauge(slotsDesc, float64(n), k.pool, k.state)
	}
}

// Metrics serves what Prometheus reads. Whoever may connect may read it: it has no secrets, but the names of pools, and how much the
// server has to do.
func (s *Server) Metrics() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 2 * scrapeTime,
	}))
	return mux
}
