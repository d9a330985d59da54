package tooltest

import (
	"context"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// Job is one test of a suite.
type Job struct {
	Suite *suite.Suite
	Test  *suite.Test
}

// All runs tests, at most parallel at once, and returns their count. It calls done with each result, in the order of the
// jobs and from one goroutine. It calls ended, never concurrently, with the number of tests that have ended so far. After ctx
// is cancelled, no more tests start, and the running ones end.
func (r *Tester) All(ctx context.Context, jobs []Job, parallel int, ended func(n int), done func(*report.Result)) report.Summary {
	begin := time.Now()
	if r.Record {
		parallel = 1 // tests of a suite write to one file
	}
	results := make([]chan *report.Result, len(jobs))
	for i := range results {
		results[i] = make(chan *report.Result, 1)
	}
	var work sync.WaitGroup
	var mu sync.Mutex
	count, next := 0, 0
	take := func() int {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			return len(jobs)
		}
		next++
		return next - 1
	}
	for range min(max(parallel, 1), max(len(jobs), 1)) {
		work.Go(func() {
			for i := take(); i < len(jobs); i = take() {
				res := r.Run(ctx, jobs[i].Suite, jobs[i].Test)
				mu.Lock()
				count++
				ended(count)
				mu.Unlock()
				results[i] <- res
			}
		})
	}
	go func() {
		work.Wait()
		for _, c := range results {
			close(c)
		}
	}()
	summary := report.Summary{Type: "summary"}
	for i, c := range results {
		res := <-c
		if res == nil { // it wasn't started
			res = NotRun(&jobs[i])
		}
		summary.Add(res)
		done(res)
	}
	summary.DurationMS = time.Since(begin).Milliseconds()
	return summary
}
