package tool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	f.Add([]byte(shapetest.Bomb(4)))
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

// checkParsed checks what other packages rely on in an accepted tool.
func checkParsed(t *testing.T, tool *Tool) {
	if wrong, _ := CheckName(tool.Name); wrong != "" {
		t.Errorf("name %q %s", tool.Name, wrong)
	}
	full := tool.Defaults()
	if err := full.Network.Validate(); err != nil {
		t.Errorf("network: %v", err)
	}
	for _, v := range tool.Volumes {
		if wrong, _ := CheckMountPath(v.MountPath); wrong != "" {
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
