package policy

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// atOnce is how many runs run at once; zero is any number. Only a server counts them.
type atOnce struct {
	project int
	tools   map[string]int // of one tool each, by patterns of tools
}

func atOnceShape() shape.Shape[atOnce] {
	count := shape.Convert(shape.Integer(1, 100_000), func(v int64) int { return int(v) })
	return shape.Object("concurrency", []shape.Field[atOnce]{
		shape.Bind("project", "Of all runs of the project.", count, func(a *atOnce) *int { return &a.project }),
		shape.Bind("tools", "Of the runs of each tool, by patterns of tools.", shape.Map(count, nil, pattern("tools"), "a tool"),
			func(a *atOnce) *map[string]int { return &a.tools }),
	}, nil)
}

// AtOnce returns how many runs of the project, and of the tool of that name, may run at once; 0 is any number. A definition that came with
// its request has no name, and only the pattern * is for it.
func (p *Policy) AtOnce(name string) (project, ofTool int) {
	if p == nil {
		return 0, 0
	}
	for tools, n := range p.atOnce.tools {
		if ok, _ := path.Match(tools, name); ok && (ofTool == 0 || n < ofTool) { // the pattern was checked
			ofTool = n
		}
	}
	return p.atOnce.project, ofTool
}

// String says what is allowed.
func (a atOnce) String() string {
	var list []string
	if a.project > 0 {
		list = append(list, fmt.Sprintf("%d runs of the project", a.project))
	}
	for _, tools := range slices.Sorted(maps.Keys(a.tools)) {
		of := "each tool"
		if !strings.ContainsAny(tools, `*?[\`) {
			of = "the tool"
		}
		list = append(list, fmt.Sprintf("%d of %s %s", a.tools[tools], of, tools))
	}
	if list == nil {
		return "any number of runs at once"
	}
	return strings.Join(list, ", ") + " at once, on a server"
}
