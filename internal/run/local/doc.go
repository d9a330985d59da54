// Package local carries out runs on this machine, each from its definition to its result.
//
// [Compile] makes an engine.Spec from a tool, its inputs and an image's configuration. It is a pure function, so a dry run
// prints exactly what a run does. A [Runner] resolves the image and the secrets, starts the spec on an engine, enforces the
// timeout, retries, reports everything as events with secrets masked, and returns one result.
//
// The caller's context bounds the work: cancelling it asks the tool to end (TERM, then KILL after the grace). Clean-up
// doesn't depend on a context, so a cancelled run is cleaned up as completely as any other.
package local
