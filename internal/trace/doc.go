// Package trace sends OpenTelemetry traces of a server and its runners, if the environment says where to. Only mayflyd links it.
//
//	request (server)           its own trace, or that of its client
//	   └┄ link ┄▶ run (server)     from accepted to its end
//	                ├─ queued
//	                ├─ attempt (runner)
//	                │    ├─ pulling
//	                │    ├─ creating
//	                │    └─ running
//	                └─ run (server)    of a step, if the run is of a workflow
//
// The ids of a run's trace and of its span are computed from the run's id. So whichever server commits the end of a run sends its span,
// once, and the runner and the steps have named it as their parent long before: no server keeps anything of a trace, in memory or in the
// database, a server may be restarted meanwhile, and a sampler of ratios decides the same everywhere. A traceparent in the stored request
// would need the request to be read, and opened if it is sealed, at each end. That is why a run isn't a part of its client's trace, which
// has a link to it instead, as OpenTelemetry advises for work that is queued.
//
// An id is a hash of the run's id and not the run's id itself, although a UUID has as many bytes: two bits of a UUID are always the same, and
// samplers compare just those, so that a ratio of a half would be none.
//
// Attributes are names, numbers and ids. No span has an input, a variable, a value of a secret, a reason or output.
package trace
