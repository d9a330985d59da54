package api

import (
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
)

// NewRun asks for a run of a tool of the project, or of a definition that comes with the request. Exactly one of Tool and
// Bundle is given.
type NewRun struct {
	Tool    string  `json:"tool,omitempty" maxLength:"253" doc:"the name of a tool or workflow of the project"`
	Version int     `json:"version,omitempty" minimum:"0" maximum:"2147483647" doc:"its version; 0 is the latest"`
	Bundle  *Bundle `json:"bundle,omitempty" doc:"a definition that isn't kept as a version"`

	Inputs      map[string]any    `json:"inputs,omitempty" doc:"values for the args, as text or typed"`
	Environment map[string]string `json:"environment,omitempty" doc:"variables, which override those of the tool"`
	// Secrets are for this run alone.
	Secrets map[string]string `json:"secrets,omitempty" maxProperties:"100" doc:"values in base64 of secrets that the tool names, instead of those of the project; for this run alone, so they are gone when it has ended"`
	// Test has tests be carried out instead of the tool.
	Test *NewTest `json:"test,omitempty" doc:"carry out tests of the tool or workflow instead of it: as mayfly test, with their own inputs, secrets and mocks"`
	// Set overrides the definition, as the flags of mayfly run do.
	Set          map[string]string `json:"set,omitempty" doc:"overrides by name: timeout, user, network, cpu, memory, disk, pids, nofile, bandwidth"`
	GraceSeconds *float64          `json:"grace_seconds,omitempty" minimum:"0" maximum:"86400" doc:"between TERM and KILL; 10 by default"`

	// From, Only and Skip are for workflows, as the flags of mayfly run.
	Selection

	Pool     string            `json:"pool,omitempty" maxLength:"63" pattern:"^([A-Za-z0-9][A-Za-z0-9._-]*)?$" doc:"the runners that may take it; default by default"`
	Runner   []string          `json:"runner,omitempty" maxItems:"20" maxLength:"253" doc:"labels that a runner must have"`
	Labels   map[string]string `json:"labels,omitempty" maxProperties:"50" doc:"labels of the run, for its readers; keys and values as in a tool"`
	Priority int               `json:"priority,omitempty" minimum:"-100" maximum:"100" doc:"higher ones first, among those of the project"`
	// KeepOnFailure has a runner keep the sandbox for a while, so that a shell can be opened in it.
	KeepOnFailure bool `json:"keep_on_failure,omitempty" doc:"keep the sandbox for a while if the tool fails, for open-shell; for tools, not for workflows or tests"`
	// Concurrency bounds how many runs of the project with its key run at once.
	Concurrency *Concurrency `json:"concurrency,omitempty" doc:"how many runs with the same key run at once; for tools, not for workflows"`
}

// NewTest asks for tests of a file.
type NewTest struct {
	File   string `json:"file" minLength:"1" maxLength:"1024" doc:"the path of the file of tests among the files of the bundle, or of the version of the tool"`
	Name   string `json:"name,omitempty" maxLength:"1024" doc:"only the test of this name"`
	Record bool   `json:"record,omitempty" doc:"pass requests that no mock answers on to the real network, as far as the tool may reach it, and record the answers as mocks"`
}

// Concurrency is a limit that runs share by a key.
type Concurrency struct {
	Key   string `json:"key" minLength:"1" maxLength:"253" doc:"a text of your own, such as deploy-production"`
	Limit int    `json:"limit" minimum:"1" maximum:"100000" doc:"as many run at once, of those that wait with the key"`
}

// Changes are what a repeated run has that the old one hadn't. What they don't name stays as it was.
type Changes struct {
	Inputs      map[string]any    `json:"inputs,omitempty" doc:"values for the args, instead of those of the old run"`
	Environment map[string]string `json:"environment,omitempty" doc:"variables, instead of those of the old run"`
	Set         map[string]string `json:"set,omitempty" doc:"overrides, instead of those of the old run"`
	Secrets     map[string]string `json:"secrets,omitempty" maxProperties:"100" doc:"as in create-run; those that the old run was given must be given again"`
	// KeepOnFailure is nil if nothing changes.
	KeepOnFailure *bool `json:"keep_on_failure,omitempty" doc:"as in create-run, instead of what the old run had"`
}

// Selection selects steps of a workflow. The zero Selection selects all.
type Selection struct {
	From string   `json:"from,omitempty" maxLength:"253" doc:"only this step and those after it"`
	Only string   `json:"only,omitempty" maxLength:"253" doc:"only this step"`
	Skip []string `json:"skip,omitempty" maxItems:"1000" doc:"all but these steps"`
}

// Steps is how far a workflow is.
type Steps struct {
	Steps []run.StepResult `json:"steps" doc:"in the order of the definition, those of finally last"`
	Runs  []Run            `json:"runs" doc:"the runs of steps and of items of for_each, in the order in which they were begun"`
}

// Artifact is what a step of a workflow has made for later ones.
type Artifact struct {
	Name   string `json:"name"`
	Run    string `json:"run" doc:"the run that made it"`
	Step   string `json:"step,omitempty" doc:"the step of the workflow that the run is"`
	Digest string `json:"digest" doc:"of the tar archive, as sha256:HEX"`
}

// Metrics is what a run used over time.
type Metrics struct {
	Samples []Sample `json:"samples" doc:"at most 1000, in the order of time"`
}

// Sample is what a run used up to a moment.
type Sample struct {
	Time time.Time `json:"time"`
	Step string    `json:"step,omitempty" doc:"of a workflow"`
	engine.Usage
}

// Connections are those of a run.
type Connections struct {
	Connections []Connected `json:"connections" doc:"at most 1000, in the order of the first of each"`
	Omitted     int64       `json:"omitted,omitempty" doc:"how many connections are in none of them, since there were too many different ones"`
}

// Connected are connections of a run with the same destination and the same decision; its bytes are those of all of them.
type Connected struct {
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count int64     `json:"count" doc:"how many there were"`
	Step  string    `json:"step,omitempty" doc:"of a workflow"`
	engine.Connection
}

// Run is a run as the server knows it.
type Run struct {
	ID      string `json:"id"`
	Project string `json:"project"`
	Tool    string `json:"tool" doc:"its name"`
	Version int    `json:"version,omitempty" doc:"0 for a definition that came with the request"`
	Kind    string `json:"kind" enum:"tool,workflow,test" doc:"test for a run of tests"`
	// Status is queued, pulling, creating or running, and then how it ended.
	Status   run.State `json:"status"`
	ExitCode int       `json:"exit_code" doc:"0 until the run has ended"`
	Code     run.Code  `json:"code,omitempty" doc:"why it ended, for programs"`
	Reason   string    `json:"reason,omitempty" doc:"why it ended, for people"`

	Pool     string            `json:"pool"`
	Runner   string            `json:"runner,omitempty" doc:"the runner that has it or had it last"`
	Attempt  int               `json:"attempt" doc:"0 until a runner has it"`
	Labels   map[string]string `json:"labels,omitempty"`
	Needs    []string          `json:"needs,omitempty" doc:"labels that its runner must have"`
	Priority int               `json:"priority"`
	// Waiting says why a queued run isn't taken, if there is a reason besides others before it.
	Waiting    string    `json:"waiting,omitempty"`
	Cancelling bool      `json:"cancelling,omitempty" doc:"its end was asked for"`
	Accepted   time.Time `json:"accepted"`
	AcceptedBy string    `json:"accepted_by"`
	Started    time.Time `json:"started,omitzero" doc:"when a runner took it first"`
	Finished   time.Time `json:"finished,omitzero"`
	// KeptUntil is set while a runner keeps the sandbox of the run. Only get-run says so.
	KeptUntil time.Time `json:"kept_until,omitzero" doc:"its sandbox is kept until then, unless it is removed before: open-shell opens a shell in it; only get-run has it"`
	Events    int64     `json:"events" doc:"how many events it has so far; the last one has this number"`
	Lines     int64     `json:"lines" doc:"how many lines it has printed so far, by their line breaks"`
	Bytes     int64     `json:"bytes" doc:"the size of its events so far, as JSON"`
	// LogRemoved is set for a run whose log the server has not kept.
	LogRemoved time.Time `json:"log_removed,omitzero" doc:"when its events were removed, since the server keeps them for a limited time, or up to a size"`

	Parent  string `json:"parent,omitempty" doc:"the run of the workflow that this is a step of"`
	Step    string `json:"step,omitempty" doc:"the step, such as build or check[3]"`
	Resumes string `json:"resumes,omitempty" doc:"the run of a workflow that this one goes on from"`
}

// RunList is a page of runs, the newest first. A page may have fewer runs than were asked for, also none, although Next is set.
type RunList struct {
	Runs []Run  `json:"runs"`
	Next string `json:"next,omitempty" doc:"the cursor of the next page, which there may be although this one has fewer runs than were asked for, or none; empty on the last one"`
}
