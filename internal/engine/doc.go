// Package engine is the contract between a run and what executes it.
//
// A run is compiled to a [Spec], which is data for any host and contains no
// secret. An [Engine] makes a [Sandbox] from it and from what only this host has
// ([Local]: secret values, folders, layers). A sandbox is one live, isolated
// container. It reports what happens as [Event] values and ends with one [Exit].
//
//	Engine.Start(ctx, Spec, Local, Streams)
//	    |                       stdout, stderr -> Streams
//	    v                       metrics, connections -> Sandbox.Events
//	Sandbox --Signal, Resize--> ... --Wait--> Exit --Close--> nothing left
//
// [Capabilities] and type assertions to the optional interfaces [Keeper],
// [Prober] and [Sweeper] say what else an engine can do.
//
// Three rules apply to every engine. Package enginetest has a test for each field
// of a spec, and fails for a field without a test:
//
//   - Never silently weaker. If the engine can't enforce a feature on this host,
//     Start fails with an [Unsupported]; no feature is dropped.
//   - A tool's non-zero status is an Exit, not an error. Errors are the
//     engine's own failures.
//   - After Close returns, no process, mount, cgroup, namespace, file or
//     goroutine of the sandbox is left, however the tool behaved.
package engine
