// Package local carries out runs on this machine, each from its definition to its result.
//
// [Compile] makes an engine.Spec of a tool, its inputs and an image's
// configuration: a pure function, so that a dry run prints exactly what a run
// does. A [Runner] resolves the image and the secrets, starts the spec on an
// engine, enforces the time-out, retries, reports everything as events
// with secrets masked, and ends with one result.
//
// The caller's context is the work's: cancelling it asks the tool to end (TERM,
// then after the grace KILL). Cleaning up depends on no context, so that a
// cancelled run is taken down as completely as any other.
package local
