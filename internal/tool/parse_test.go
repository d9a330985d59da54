package tool

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/shape/shapetest"
)

func TestRejected(t *testing.T) {
	for name, body := range shapetest.Cases(t, "testdata/rejected.txt") {
		t.Run(name, func(t *testing.T) {
			text, want, ok := strings.Cut(body, "-- want\n")
			if !ok {
				t.Fatal(`the case has no line "-- want"`)
			}
			_, err := Parse("tool.yaml", []byte(text))
			if err == nil {
				t.Fatal("no error")
			}
			if got := err.Error() + "\n"; got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			var e *shape.Error
			if !errors.As(err, &e) {
				t.Errorf("got an error of type %T, want *shape.Error", err)
			}
		})
	}
}

func TestAccepted(t *testing.T) {
	for name, body := range shapetest.Cases(t, "testdata/accepted.txt") {
		t.Run(name, func(t *testing.T) {
			if name == "windows lines" {
				body = strings.ReplaceAll(body, "\n", "\r\n")
			}
			if _, err := Parse("tool.yaml", []byte(body)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExamples(t *testing.T) {
	kubectl, err := Load("testdata/examples/kubectl-health-check.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"kubectl", "get", "pods", "--all-namespaces", "--field-selector=status.phase!=Running"}; !reflect.DeepEqual(kubectl.Command.Args(), want) {
		t.Errorf("command %q, want %q", kubectl.Command.Args(), want)
	}
	if got := kubectl.ResolveEnvironment(nil, nil, nil); !reflect.DeepEqual(got, []EnvRef{{Name: "KUBECONFIG", Literal: "/secrets/kubeconfig"}}) {
		t.Errorf("got %v, want KUBECONFIG to stay the path of a mount", got)
	}
	if err := kubectl.Runnable(); err != nil {
		t.Error(err)
	}

	slack, err := Load("testdata/examples/slack-notify.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []EnvRef{
		{Name: "SLACK_TOKEN", Secret: "slack_token"},
		{Name: "CHANNEL", Literal: "#alerts"},
		{Name: "MESSAGE", Literal: "Deployment completed successfully"},
	}
	if got := slack.ResolveEnvironment(nil, nil, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("environment %v, want %v", got, want)
	}
	if got := slack.Script.Interpreter(); !reflect.DeepEqual(got, []string{"/bin/sh", "-e"}) {
		t.Errorf("interpreter %q", got)
	}
	if !strings.HasPrefix(slack.Script.Text, "curl -X POST \\\n") {
		t.Errorf("script starts with %q", slack.Script.Text[:20])
	}

	secrets, err := Load("testdata/examples/secrets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if secrets.Name != "secrets" || secrets.Source.Dir != filepath.Join("testdata", "examples") {
		t.Errorf("name %q, dir %q", secrets.Name, secrets.Source.Dir)
	}
	var refs []string
	for _, e := range secrets.ResolveEnvironment(nil, nil, nil) {
		if e.Secret != "" {
			refs = append(refs, e.Secret+" "+e.Name)
		}
	}
	for _, v := range secrets.Volumes {
		refs = append(refs, v.Secret+" "+v.Name)
	}
	if want := []string{"db_password DATABASE_PASSWORD", "api_key API_KEY", "aws-prod-creds aws-credentials", "k8s-prod-config kubeconfig"}; !reflect.DeepEqual(refs, want) {
		t.Errorf("secrets %q, want %q", refs, want)
	}
	wantErr := `testdata/examples/secrets.yaml:2:1: tool "secrets" has no image to run in; add image: NAME:TAG`
	if err := secrets.Runnable(); err == nil || err.Error() != wantErr {
		t.Errorf("runnable: %v, want %s", err, wantErr)
	}

	for file, key := range map[string]string{"build-test-deploy": "workflow", "parallel-health-checks": "parallel_tools"} {
		_, err := Load("testdata/examples/" + file + ".yaml")
		var w *WorkflowError
		if !errors.As(err, &w) || w.Key != key || w.Line != 2 {
			t.Errorf("%s: got %v, want a workflow error", file, err)
		}
	}
}

func TestEverything(t *testing.T) {
	got, err := Parse("deploy.yaml", []byte(shapetest.Cases(t, "testdata/everything.txt")["everything"]))
	if err != nil {
		t.Fatal(err)
	}
	at := func(line, column int) shape.Position {
		return shape.Position{File: "deploy.yaml", Line: line, Column: column}
	}
	yes := true
	want := &Tool{
		Name: "deployment-checker", Description: "Waits", Image: "python:3.12-slim",
		Command: &Command{Argv: []string{"python3", "check.py"}, Position: at(4, 10)},
		Args: []Arg{{
			Name: "service-url", Type: shape.TypeString, Required: true, Env: "SERVICE_URL", Position: at(6, 5),
			Default: &shape.Value{Type: shape.TypeString, Text: "a"}, Options: []shape.Value{{Type: shape.TypeString, Text: "a"}, {Type: shape.TypeString, Text: "b"}},
		}},
		Environment: []EnvVar{{"TIMEOUT", "60", at(8, 5)}},
		Volumes: []Volume{
			{Name: "k", Secret: "s", MountPath: "/secrets/k", Position: at(10, 5)},
			{Name: "d", Size: 1 << 30, MountPath: "/data", Position: at(11, 5)},
		},
		Resources: Resources{CPU: 500, Memory: 256 << 20, Disk: 1 << 30, PIDs: 256, Bandwidth: 10_000_000},
		Security:  Security{User: "1000:1000", ReadOnly: &yes, Capabilities: []string{"CHOWN"}, Runtime: "gvisor"},
		Network: &network.Policy{Mode: network.ModeList, Egress: []network.Rule{
			{Host: "*.slack.com", Ports: []network.PortRange{{First: 443, Last: 443}}},
		}},
		EgressAt:   []shape.Position{at(16, 7)},
		WorkingDir: "/workspace", Timeout: 5 * time.Minute,
		Retry:   &Retry{Attempts: 3, Backoff: 2 * time.Second, MaxBackoff: time.Minute, OnExit: []int{1, 75}},
		Outputs: []string{"IMAGE_TAG"}, Labels: map[string]string{"team": "platform"},
		Source: Source{Path: "deploy.yaml", Position: at(1, 1)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if err := got.Network.Validate(); err != nil {
		t.Error(err)
	}
	if full := got.Defaults(); !reflect.DeepEqual(full, want) {
		t.Errorf("Defaults changed given values: %+v", full)
	}
}

func TestDefaults(t *testing.T) {
	bare, err := Parse("x.yaml", []byte("image: alpine\nretry: {attempts: 2, backoff: 2m}\n"))
	if err != nil {
		t.Fatal(err)
	}
	full := bare.Defaults()
	if want := (Resources{CPU: 1000, Memory: 512 << 20, Disk: 1 << 30, PIDs: 512}); full.Resources != want {
		t.Errorf("resources %+v, want %+v", full.Resources, want)
	}
	if full.Timeout != 10*time.Minute || !*full.Security.ReadOnly || full.Security.Runtime != "default" || full.Network.Mode != network.ModeOpen {
		t.Errorf("defaults are %+v", full)
	}
	if full.Retry.MaxBackoff != 2*time.Minute {
		t.Errorf("got the longest pause %s, want the first one's 2m", full.Retry.MaxBackoff)
	}
	if bare.Network != nil || bare.Security.ReadOnly != nil || bare.Retry.MaxBackoff != 0 || bare.Timeout != 0 {
		t.Errorf("the original changed: %+v", bare)
	}
}

func TestNames(t *testing.T) {
	tests := []struct{ file, want string }{
		{"slack.yaml", "slack"},
		{"a/b/slack.yml", "slack"},
		{"tools/checker/tool.yaml", "checker"},
		{"tool.yaml", "tool"},
		{"../tool.yaml", "tool"},
		{"/tool.yaml", "tool"},
		{`C:\x\my tool.yaml`, "my-tool"},
		{"é.yaml", "tool"},
		{"-", "stdin"},
		{strings.Repeat("a", 70) + ".yaml", strings.Repeat("a", 63)},
	}
	for _, tt := range tests {
		got, err := Parse(tt.file, []byte("image: a"))
		if err != nil || got.Name != tt.want {
			t.Errorf("%s: name %v, %v; want %q", tt.file, got, err, tt.want)
		}
		if wrong, _ := CheckName(got.Name); wrong != "" {
			t.Errorf("%s: name %q %s", tt.file, got.Name, wrong)
		}
	}
	if _, err := Parse("-", []byte("imag: a")); err == nil || !strings.HasPrefix(err.Error(), "<stdin>:1:1: ") {
		t.Errorf("got %v, want an error at <stdin>:1:1", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte(strings.Repeat("#", int(shape.SmallBounds().FileSize)+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(big); err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("a large file: got %v, want an error about its size", err)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: got %v, want os.ErrNotExist", err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "it is a folder; name the file in it") {
		t.Errorf("a folder: got %v, want an error that says so", err)
	}
}

func TestErrorCap(t *testing.T) {
	var b strings.Builder
	for range 30 {
		b.WriteString("- A\n")
	}
	_, err := Parse("tool.yaml", []byte("environment:\n"+b.String()))
	var e *shape.Error
	if !errors.As(err, &e) || len(e.Problems) != shape.MaxProblems || e.Problems[0].Line != 2 {
		t.Fatalf("got %v", err)
	}
}

func TestInterpreter(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"echo", []string{"/bin/sh", "-e"}},
		{"", []string{"/bin/sh", "-e"}},
		{"#!\necho", []string{"/bin/sh", "-e"}},
		{"#!/bin/bash", []string{"/bin/bash"}},
		{"#! /usr/bin/env  python3 -u \nx", []string{"/usr/bin/env", "python3 -u"}},
		{"#!/bin/sh\r\necho", []string{"/bin/sh"}},
		{" #!/bin/bash\n", []string{"/bin/sh", "-e"}},
	}
	for _, tt := range tests {
		if got := (&Script{Text: tt.text}).Interpreter(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
	if got := (&Command{Shell: "a | b"}).Args(); !reflect.DeepEqual(got, []string{"/bin/sh", "-c", "a | b"}) {
		t.Errorf("a command line: got %q, want /bin/sh -c", got)
	}
}
