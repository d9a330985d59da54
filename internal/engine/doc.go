// Package engine is the contract between a run and what executes it.
//
// A run is compiled to a [Spec], which is data for any host and holds no secret.
// An [Engine] turns it, together with what only its host has ([Local]: secret
// values, folders, layers), into a [Sandbox]: one live, isolated container. The sandbox reports what happens as [Event] values
// and ends with one [Exit].
//
//	Engine.Start(ctx, Spec, Local, Streams)
//	    |                       stdout, stderr -> Streams
//	    v                       metrics, connections -> Sandbox.Events
//	Sandbox --Signal, Resize--> ... --Wait--> Exit --Close--> nothing left
//
// What an engine can do beside that, a caller finds out by [Capabilities] and by
// asserting an optional interface: [Keeper], [Prober], [Sweeper].
//
// Three rules hold for every engine. Package enginetest has a test for each field
// of a spec, and fails for a field without one:
//
//   - Never silently weaker. What the engine can't enforce on this host fails
//     Start with an [Unsupported]; nothing is dropped.
//   - A tool's non-zero status is an Exit, not an error. Errors are the
//     engine's own failures.
//   - After Close returns, no process, mount, cgroup, namespace, file or
//     goroutine of the sandbox is left, however the tool behaved.
package engine
