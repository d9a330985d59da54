// Package engine is the contract between a run and what executes it.
//
// A run is compiled to a [Spec], which is data and holds no secret. An
// [Engine] turns it, together with the secret values, into a [Sandbox]: one
// live, isolated container. The sandbox reports what happens as [Event] values
// and ends with one [Exit].
//
//	Engine.Start(ctx, Spec, Secrets, Streams)
//	    |                       stdout, stderr -> Streams
//	    v                       metrics, connections -> Sandbox.Events
//	Sandbox --Signal, Resize--> ... --Wait--> Exit --Close--> nothing left
//
// Three rules hold for every engine. Package enginetest checks them for processes,
// streams, signals, ends, files and mocks; what the embedded engine does about
// egress, limits, terminals and leftovers is checked by the tests across packages:
//
//   - Never silently weaker. What the engine can't enforce on this host fails
//     Start with an [Unsupported]; nothing is dropped.
//   - A tool's non-zero status is an Exit, not an error. Errors are the
//     engine's own failures.
//   - After Close returns, no process, mount, cgroup, namespace, file or
//     goroutine of the sandbox is left, however the tool behaved.
package engine
