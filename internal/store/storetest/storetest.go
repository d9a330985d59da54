// Package storetest is the suite that every implementation of package store passes.
package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// Store is all that a server keeps.
type Store interface {
	store.Tools
	store.Queue
	store.Runs
	store.Access
	store.Sessions
	store.Projects
	store.Audit
	store.Policies
	store.Drafts
	store.Runners
	store.Secrets
	store.Workflows
	store.Wake
	store.Logs
	store.Statistics
	store.Answers
	store.Contents
	store.Clock
}

// lease is longer than any test.
const lease = time.Hour

// Run runs the suite. open returns a new, empty store, which it closes at the end of the test.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"Versions":          versions,
		"OneRun":            oneRun,
		"AcceptAndLease":    acceptAndLease,
		"ClaimOrder":        claimOrder,
		"ClaimBehind":       claimBehind,
		"Turns":             turns,
		"Limits":            limits,
		"LimitsAtOnce":      func(t *testing.T, s Store) { LimitsAtOnce(t, s) },
		"Sizes":             sizes,
		"Again":             again,
		"Fences":            fences,
		"HeldRequests":      heldRequests,
		"Pages":             pages,
		"RepeatedReports":   repeatedReports,
		"OddTexts":          oddTexts,
		"Gaps":              gaps,
		"Lines":             lines,
		"Cancel":            cancel,
		"Expire":            expire,
		"Renew":             renew,
		"Reclaim":           reclaim,
		"QueuedIn":          queuedIn,
		"MostAsked":         mostAsked,
		"GivenSecrets":      givenSecrets,
		"Extend":            extend,
		"Lists":             lists,
		"Looks":             looks,
		"EndsMeanwhile":     endsMeanwhile,
		"ManyWriters":       func(t *testing.T, s Store) { ManyWriters(t, s) },
		"SameAtOnce":        func(t *testing.T, s Store) { SameAtOnce(t, s) },
		"ClaimsAtOnce":      func(t *testing.T, s Store) { ClaimsAtOnce(t, s) },
		"Histories":         func(t *testing.T, s Store) { Histories(t, s) },
		"Policies":          policies,
		"Contents":          contents,
		"Drafts":            drafts,
		"DraftFiles":        draftFiles,
		"DraftsAtOnce":      func(t *testing.T, s Store) { DraftsAtOnce(t, s) },
		"MostDrafts":        func(t *testing.T, s Store) { MostDrafts(t, s) },
		"Projects":          projects,
		"Tokens":            tokens,
		"Sessions":          sessions,
		"SessionsAtOnce":    sessionsAtOnce,
		"SessionOfExpiring": sessionOfExpiring,
		"Audit":             auditLog,
		"AuditRemoval":      auditRemoval,
		"RemoveAtOnce":      func(t *testing.T, s Store) { RemoveAtOnce(t, s) },
		"AuditAtOnce":       func(t *testing.T, s Store) { AuditAtOnce(t, s) },
		"Runners":           runners,
		"Statistics":        statistics,
		"EndedRuns":         endedRuns,
		"RunningNow":        runningNow,
		"EndsAtOnce":        func(t *testing.T, s Store) { EndsAtOnce(t, s) },
		"Once":              once,
		"OnceAtOnce":        func(t *testing.T, s Store) { OnceAtOnce(t, s) },
		"SetAtOnce":         func(t *testing.T, s Store) { SetAtOnce(t, s) },
		"Secrets":           secrets,
		"SecretsMeanwhile":  secretsMeanwhile,
		"SecretHistory":     secretHistory,
		"Workflows":         workflows,
		"WorkflowFence":     workflowFence,
		"WorkflowEnds":      workflowEnds,
		"WorkflowStays":     workflowStays,
		"WorkflowPlaces":    workflowPlaces,
		"WorkflowBreaksOff": workflowBreaksOff,
		"Compact":           compact,
		"Following":         following,
		"ButOutput":         butOutput,
		"KeepLog":           keepLog,
		"LogClaimsAtOnce":   logClaimsAtOnce,
		"DropLogs":          dropLogs,
		"DropRuns":          dropRuns,
		"References":        references,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time is the disk's
			test(t, open(t))
		})
	}
}

func newRun(id string) store.NewRun {
	return store.NewRun{ID: id, Project: "p", Tool: "t", Version: 2, Kind: "tool", Pool: "default", Request: []byte(`{"id":"` + id + `"}`), AcceptedBy: "ada"}
}

func accept(t *testing.T, s Store, r store.NewRun) {
	t.Helper()
	if err := s.Accept(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
}

func claim(t *testing.T, s Store, c store.Claim) []store.Claimed {
	t.Helper()
	if c.Pool == "" {
		c.Pool = "default"
	}
	if c.Runner == "" {
		c.Runner = "r"
	}
	if c.Lease == 0 {
		c.Lease = lease
	}
	got, err := s.Claim(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// claimed accepts a run and gives it to runner r.
func claimed(t *testing.T, s Store, id string, lease time.Duration) store.Claimed {
	t.Helper()
	accept(t, s, newRun(id))
	got := claim(t, s, store.Claim{Lessee: store.Lessee{Runner: "r", Lease: lease}, Most: 1})
	if len(got) != 1 || got[0].Run != id || got[0].Tool != "t" || got[0].Version != 2 {
		t.Fatalf("claimed %+v, want run %s", got, id)
	}
	return got[0]
}

// report returns a report with count events whose content is text.
func report(c store.Claimed, first, count int64, text string) store.Report {
	return store.Report{
		Hold: store.Hold{Run: c.Run, Attempt: c.Attempt}, Runner: c.Runner, Lease: lease, First: first, Count: count, State: run.Running,
		Encode: encode(first, count, c.Last, text),
	}
}

func encode(first, count, base int64, text string) func(int64) (store.Chunk, error) {
	return func(before int64) (store.Chunk, error) {
		if want := base + first - 1; before != want {
			return store.Chunk{}, fmt.Errorf("%d events are before these, want %d", before, want)
		}
		return store.Chunk{First: before + 1, Last: before + count, Lines: count, Bytes: int64(len(text)), Data: []byte(text)}, nil
	}
}

func ended(status run.State) *store.Ended {
	return &store.Ended{Status: status, ExitCode: run.ExitError, Code: run.CodeToolFailed, Reason: "because", Result: []byte(`{"status":"x"}`)}
}

func get(t *testing.T, s Store, id string) store.Run {
	t.Helper()
	r, err := s.Run(t.Context(), "p", id)
	if err != nil {
		t.Fatalf("run %s: %v", id, err)
	}
	return r
}

func texts(t *testing.T, s Store, id string, after int64) (all []string) {
	t.Helper()
	chunks, err := s.Chunks(t.Context(), id, after, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		all = append(all, string(c.Data))
	}
	return all
}
