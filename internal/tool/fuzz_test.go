package tool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/shape/shapetest"
)

func FuzzParse(f *testing.F) {
	for _, file := range []string{"accepted.txt", "everything.txt", "rejected.txt"} {
		for _, body := range shapetest.Cases(f, "testdata/"+file) {
			text, _, _ := strings.Cut(body, "-- want\n")
			f.Add([]byte(text))
		}
	}
	examples, err := filepath.Glob("testdata/examples/*")
	if err != nil || len(examples) == 0 {
		f.Fatalf("no examples: %v", err)
	}
	for _, file := range examples {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(bomb(4)))
	f.Add([]byte("!%1b x")) // a tag that would print a control character
	f.Add([]byte("name: !%e2%80%ae x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tool, err := Parse("tool.yaml", data)
		if err == nil {
			checkParsed(t, tool)
			return
		}
		var workflow *WorkflowError
		if errors.As(err, &workflow) {
			return
		}
		shapetest.CheckProblems(t, err, data)
	})
}

// checkParsed holds an accepted tool to what the packages that use it rely on.
func checkParsed(t *testing.T, tool *Tool) {
	if wrong, _ := CheckName(tool.Name); wrong != "" {
		t.Errorf("name %q %s", tool.Name, wrong)
	}
	full := tool.Defaults()
	if err := full.Network.Validate(); err != nil {
		t.Errorf("network: %v", err)
	}
	for _, v := range tool.Volumes {
		if wrong, _ := checkMountPath(v.MountPath); wrong != "" {
			t.Errorf("mount path %q %s", v.MountPath, wrong)
		}
	}
	if tool.Command != nil && (tool.Script != nil || len(tool.Command.Args()) == 0) {
		t.Errorf("command %+v, script %+v", tool.Command, tool.Script)
	}
	inputs, err := tool.Inputs(nil)
	if err != nil && len(tool.Args) == 0 {
		t.Errorf("inputs: %v", err)
	}
	for _, r := range tool.ResolveEnvironment(nil, inputs, nil) {
		if !ValidEnvName(r.Name) || strings.Contains(r.Literal, "\x00") || r.Secret != "" && (r.Literal != "" || !ValidSecretName(r.Secret)) {
			t.Errorf("variable %+v", r)
		}
	}
}

// FuzzWorkflow parses workflows: whatever the text, the answer is a workflow that can be resolved and planned, or
// problems with positions.
func FuzzWorkflow(f *testing.F) {
	for _, body := range shapetest.Cases(f, "testdata/workflows-rejected.txt") {
		text, _, _ := strings.Cut(body, "-- want\n")
		f.Add([]byte(text))
	}
	for _, name := range []string{"build-test-deploy", "parallel-health-checks"} {
		data, err := os.ReadFile(filepath.Join("testdata", "examples", name+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		def, err := ParseDefinition("flow.yaml", data)
		if err == nil && def.Workflow != nil {
			w := def.Workflow
			w.Source.Dir = os.DevNull
			for i, list := range w.Edges() {
				for _, j := range list {
					if j == i || j >= len(w.Steps) || w.Chain && j > i {
						t.Fatalf("step %d waits for step %d", i, j)
					}
				}
			}
			for _, s := range w.All() {
				s.References(func(r Reference, _ shape.Position) {
					if again, _, wrong, _ := parseReference(r.String()); wrong != "" || again != r {
						t.Errorf("reference %s is read as %+v, %s", r, again, wrong)
					}
				})
			}
			err = w.Resolve()
		}
		var e *shape.Error
		if err != nil && (!errors.As(err, &e) || len(e.Problems) == 0 || len(e.Problems) > shape.MaxProblems) {
			t.Fatalf("error is %v", err)
		}
	})
}
