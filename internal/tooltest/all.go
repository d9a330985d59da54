package tooltest

import (
	"context"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/suite"
)

// Job is one test of a suite.
type Job struct {
	Suite *suite.Suite
	Test  *suite.Test
}

// All runs tests, so many at once. done gets each result, in the order of the jobs and from one goroutine; ended says
// how many have ended, in any order. A cancelled ctx starts no more tests, and ends those that run.
func (r *Runner) All(ctx context.Context, jobs []Job, parallel int, ended func(n int), done func(*Result)) Summary {
	begin := time.Now()
	if r.Record {
		parallel = 1 // tests of a suite write to one file
	}
	results := make([]chan *Result, len(jobs))
	for i := range results {
		results[i] = make(chan *Result, 1)
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
	summary := Summary{Type: "summary"}
	for i, c := range results {
		res := <-c
		if res == nil { // it wasn't begun
			res = notRun(&jobs[i])
		}
		summary.Add(res)
		done(res)
	}
	summary.DurationMS = time.Since(begin).Milliseconds()
	return summary
}
