package store

import "math"

// Size is what a run asks for, or what a runner has.
type Size struct {
	CPU          int64 // thousandths of a processor
	Memory, Disk int64 // bytes
}

// Unbounded fits everything.
func Unbounded() Size { return Size{math.MaxInt64, math.MaxInt64, math.MaxInt64} }

// FitsIn says whether a run with the size fits in what is free. What it doesn't ask for always fits.
func (s Size) FitsIn(free Size) bool {
	fits := func(asked, free int64) bool { return asked == 0 || asked <= free }
	return fits(s.CPU, free.CPU) && fits(s.Memory, free.Memory) && fits(s.Disk, free.Disk)
}

// Minus is what remains.
func (s Size) Minus(o Size) Size { return Size{s.CPU - o.CPU, s.Memory - o.Memory, s.Disk - o.Disk} }

// Plus is the sum.
func (s Size) Plus(o Size) Size { return Size{s.CPU + o.CPU, s.Memory + o.Memory, s.Disk + o.Disk} }

// Limit bounds how many of the runs that have it run at once.
type Limit struct {
	Name string `json:"name"`
	Most int    `json:"most"`
}

// ProjectLimit is the name of the limit that all runs of a project have, if any has it.
func ProjectLimit(project string) string { return project }

// Waiting is what a run that waits asks for.
type Waiting struct {
	Needs []string // labels
	Size  Size
}
