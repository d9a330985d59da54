package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/mayfly-run/mayfly/internal/tool"
)

// TestToolPath finds what the command line names: a path, a tool by its name, or a folder.
func TestToolPath(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, file := range []string{"deploy/values.yaml", "tools/deploy.yaml", "tools/check/tool.yaml", "check", "alone/it.yml", "alone/it_test.yml", "alone/it.mocks.yaml", "two/a.yaml", "two/b.yaml", "tool.yaml"} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll("linked", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../tools/deploy.yaml", "linked/other.yaml"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"deploy":        "/tools/deploy.yaml", // the folder of that name hides no tool
		"./deploy":      "deploy/values.yaml",
		"deploy/":       "deploy/values.yaml",
		"check":         "check",
		"alone":         "alone/it.yml",
		"linked":        "linked/other.yaml",
		".":             "tool.yaml",
		"./check":       "./check",
		"missing.yaml":  "missing.yaml",
		"two":           "folder \"two\" has several definitions; name one: two/a.yaml or two/b.yaml",
		"./two":         "folder \"./two\" has several definitions",
		"missing":       `tool "missing" is not found`,
		"tools/check":   "tools/check/tool.yaml",
		"tools/missing": "tools/missing",
	} {
		found, _, err := toolPath(name)
		got := found.File
		if err != nil {
			got = err.Error()
		}
		if !strings.HasSuffix(got, want) && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// TestLimitsAreComplete: every limit has a flag, which sets it, and is named where a workflow refuses it.
func TestLimitsAreComplete(t *testing.T) {
	for _, l := range tool.Limits() {
		flag := newRunCommand(streams{}).Flags().Lookup(l.Name)
		if flag == nil || !strings.Contains(flag.Usage, l.Usage) {
			t.Errorf("mayfly run has no --%s", l.Name)
			continue
		}
		f := runFlags{}
		f.add(pflag.NewFlagSet("run", pflag.ContinueOnError))
		*f.resources[l.Name] = "100000000"
		if l.Name == "cpu" || l.Name == "pids" || l.Name == "nofile" {
			*f.resources[l.Name] = "100"
		} else if l.Name == "bandwidth" {
			*f.resources[l.Name] = "1Mbps"
		}
		set := &tool.Tool{}
		if err := f.override(set); err != nil || *l.Of(&set.Resources) == 0 {
			t.Errorf("--%s sets nothing: %v", l.Name, err)
		}
		if err := f.checkWorkflowFlags(); err == nil || !strings.Contains(err.Error(), "--"+l.Name+" ") {
			t.Errorf("--%s for a workflow: %v", l.Name, err)
		}
	}
}
