package local

import (
	"cmp"
	"slices"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// Linux allows 128 KiB for one variable and, with the usual limit of the stack, 2 MiB for all variables and arguments
// together (execve(2)). An output of a workflow's step may be larger than either, and must arrive complete in the next step.
const (
	maxInlineVariable  = 100 << 10
	maxInlineVariables = 1 << 20
	spillDir           = "/run/mayfly/variables/"
)

// spillLarge moves values that are too large for a variable to files: NAME becomes NAME_FILE, the path of a file with the
// value. Many images already read such variables, including Docker's official ones.
func spillLarge(spec *engine.Spec) {
	order := make([]int, len(spec.Environment))
	total := 0
	for i, v := range spec.Environment {
		order[i] = i
		total += len(v.Name) + len(v.Value) + 2
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(len(spec.Environment[b].Value), len(spec.Environment[a].Value))
	})
	for _, i := range order {
		v := &spec.Environment[i]
		if v.Secret != "" || len(v.Value) <= maxInlineVariable && total <= maxInlineVariables {
			continue
		}
		total -= len(v.Value)
		target := spillDir + v.Name
		spec.Mounts = append(spec.Mounts, engine.Mount{Kind: engine.MountContent, Target: target, Content: []byte(v.Value)})
		*v = engine.Variable{Name: v.Name + "_FILE", Value: target}
	}
}
