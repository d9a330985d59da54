package tool

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape/shapetest"
)

func TestSchemaAcceptsWhatTheLoaderDoes(t *testing.T) {
	s := shapetest.Compile(t, Schema())
	texts := shapetest.Cases(t, "testdata/accepted.txt")
	texts["everything"] = shapetest.Cases(t, "testdata/everything.txt")["everything"]
	texts["typed"] = typedTool
	for _, name := range []string{"kubectl-health-check", "slack-notify", "secrets"} {
		data, err := os.ReadFile(filepath.Join("testdata", "examples", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(data)
	}
	for name, text := range texts {
		if err := s.Validate(shapetest.Instance(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaRejects: the schema rejects what the loader rejects, except for the cases that are listed as the loader's.
func TestSchemaRejects(t *testing.T) {
	loaderOnly := map[string]string{
		"quantities":   "bad-size size-bytes-suffix size-small cpu cpu-fine cpu-range bandwidth-bytes bandwidth-none timeout-word timeout-negative",
		"several keys": "both env-twice volume-none volume-two volume-no-path volume-twice mount-twice capability-twice rule-empty rule-dns-empty rule-dns-ports rule-icmp rule-outside retry-backoff retry-exit-twice arg-default arg-option arg-option-twice arg-default-option arg-twice arg-env-twice arg-digit",
		"texts":        "image-url script-escape script-absolute script-drive script-dot env-reserved env-nul volume-proc volume-dev volume-secrets volume-unclean user user-range capability capability-all runtime rule-host rule-dns rule-cidr working-dir-fd label description",
		"YAML":         "zeros too-large duplicate merge tag custom-tag bang bang-list bang-word key-list empty comment-only two-documents syntax syntax-before-block syntax-before-quotes syntax-after-block syntax-far-after-block text-after-lines-of-a-list tab unknown-alias alias-and-quotes",
	}
	skip := map[string]bool{}
	for _, names := range loaderOnly {
		for _, name := range strings.Fields(names) {
			skip[name] = true
		}
	}
	s := shapetest.Compile(t, Schema())
	all := shapetest.Cases(t, "testdata/rejected.txt")
	for name := range skip {
		if _, ok := all[name]; !ok {
			t.Errorf("there is no case %q", name)
		}
	}
	checked := 0
	for name, body := range all {
		if skip[name] {
			continue
		}
		checked++
		text, _, _ := strings.Cut(body, "-- want\n")
		if err := s.Validate(shapetest.Instance(t, text)); err == nil {
			t.Errorf("%s: the schema accepts it, want an error", name)
		}
	}
	if checked < 30 {
		t.Errorf("only %d cases are left to the schema", checked)
	}
}

// TestSchemaDescribesEveryKey: each key has a description.
func TestSchemaDescribesEveryKey(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	if keys := shapetest.Undescribed(t, "tool", root); keys < 45 {
		t.Errorf("only %d keys are described", keys)
	}
	if again := Schema(); !bytes.Equal(again, Schema()) {
		t.Error("the schema differs from one call to the next")
	}
}
