package tool

import (
	"fmt"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// Limit is one of a run's limits. All code that reads, sets, checks or prints limits uses [Limits], so that no place forgets
// a new limit.
type Limit struct {
	// Name is the key in a tool's resources and in a policy's defaults and max, and the flag of mayfly run.
	Name string
	// Usage describes the flag, in a few words.
	Usage string
	// Of returns where resources have the limit; zero means not given.
	Of func(*Resources) *int64
	// Hard, if not nil, returns where a policy's maximum goes if the tool doesn't give the limit: the most that it can raise the limit to.
	Hard func(*Resources) *int64
	// Text writes a value for people.
	Text func(int64) string

	doc   string // the description in the schema
	shape shape.Shape[int64]
}

// Limits returns all limits of a run except its timeout.
func Limits() []Limit {
	bytes := shape.Size(4<<20, 16<<40)
	count := func(v int64) string { return fmt.Sprint(v) }
	return []Limit{
		{
			Name: "cpu", Usage: "processors, such as 2 or 500m", Of: func(r *Resources) *int64 { return &r.CPU },
			Text: func(v int64) string { return fmt.Sprintf("%dm", v) },
			doc:  "Processors, such as 2, 0.5 or 500m.", shape: shape.Processors(),
		},
		{
			Name: "memory", Usage: "memory limit, such as 256Mi", Of: func(r *Resources) *int64 { return &r.Memory },
			Text: shape.FormatSize, doc: "Memory, such as 256Mi or 1G.", shape: bytes,
		},
		{
			Name: "disk", Usage: "limit on what the tool may write, such as 1Gi", Of: func(r *Resources) *int64 { return &r.Disk },
			Text: shape.FormatSize, doc: "What the tool may write to disk, such as 1Gi.", shape: bytes,
		},
		{
			Name: "pids", Usage: "limit on processes and threads", Of: func(r *Resources) *int64 { return &r.PIDs },
			Text: count, doc: "Number of processes and threads.", shape: shape.Integer(1, 1<<22),
		},
		{
			Name: "nofile", Usage: "limit on a process's open files",
			Of: func(r *Resources) *int64 { return &r.NoFile }, Hard: func(r *Resources) *int64 { return &r.MostNoFile },
			Text: count, doc: "Number of files that a process may have open; by default 1024, which the process may raise to 65536.", shape: shape.Integer(64, 1<<20),
		},
		{
			Name: "bandwidth", Usage: "network limit each way, such as 10Mbps", Of: func(r *Resources) *int64 { return &r.Bandwidth },
			Text: func(v int64) string { return fmt.Sprintf("%d bit/s", v) },
			doc:  "Bits per second in each direction, such as 10Mbps.", shape: shape.Bandwidth(),
		},
	}
}
