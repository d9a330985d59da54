package policy

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape"
)

// TestRefusedDefaults checks that the error for a refused default says what the default is, and what to set.
func TestRefusedDefaults(t *testing.T) {
	for policy, want := range map[string]struct{ refused, key string }{
		"networks: [none, list]":                                             {"network open, the default of the tool (tool.yaml:1:1), which doesn't set network: it allows only none, list (policy.yaml:1:1); set network in the tool to what is allowed, or", "network"},
		"networks: [public]":                                                 {"network open, the default of the tool (tool.yaml:1:1), which doesn't set network: it allows only public (", "network"},
		"networks: [none]\negress: [{host: a.example}]":                      {"network list, the default", "network"},
		"networks: [none]\ndefaults: {network: public}":                      {"network public, the default", "network"},
		"runtimes: [gvisor]":                                                 {"runtime default, the default of the tool (tool.yaml:1:1), which doesn't set security.runtime: it allows only gvisor (", "security.runtime"},
		"defaults: {memory: 2Gi}\nmax: {memory: 1Gi}":                        {"memory 2Gi, the default of the tool (tool.yaml:1:1), which doesn't set resources.memory: at most 1Gi is allowed (", "resources.memory"},
		"defaults: {timeout: 2h}\nmax: {timeout: 1h}":                        {"timeout 2h0m0s, the default of the tool (tool.yaml:1:1), which doesn't set timeout: at most 1h0m0s", "timeout"},
		"defaults: {bandwidth: 2Mbps, memory: 8Mi}\nmax: {bandwidth: 1Mbps}": {"bandwidth 2000000 bit/s, the default", "resources.bandwidth"},
	} {
		p := mustPolicy(t, policy)
		_, err := p.Apply(parseTool(t, "image: alpine"))
		var denied *DeniedError
		if !errors.As(err, &denied) || !strings.Contains(err.Error(), want.refused) || denied.Missing != want.key || !strings.Contains(err.Error(), "; set "+want.key+" in the tool") {
			t.Errorf("%q: got %v, want %q", policy, err, want)
		}
		if own := p.RefusedDefault(); own == nil || own.Missing != want.key {
			t.Errorf("%q: the refused default is %v, want %s", policy, own, want.key)
		}
	}
	for _, policy := range []string{
		"", "networks: [none]\ndefaults: {network: none}", "networks: [open]", "networks: [list]\negress: [{host: a.example}]", "egress: []", "max: {memory: 8Mi}",
		"runtimes: [default]", fullPolicy,
	} {
		if own := mustPolicy(t, policy).RefusedDefault(); own != nil {
			t.Errorf("%q: %v", policy, own)
		}
	}
	// If the tool sets the value, the error doesn't call it a default.
	_, err := mustPolicy(t, "networks: [none]").Apply(parseTool(t, "network: open"))
	var denied *DeniedError
	if !errors.As(err, &denied) || denied.Missing != "" || strings.Contains(err.Error(), "default") {
		t.Errorf("a value that the tool sets: %v", err)
	}
	_, err = mustPolicy(t, "max: {disk: 100Mi}").Apply(parseTool(t, "volumes: [{name: v, size: 50Mi, mount_path: /v}]"))
	if !errors.As(err, &denied) || denied.Missing != "" || !strings.Contains(err.Error(), "disk 150Mi: at most 100Mi is allowed") {
		t.Errorf("a volume in addition to the default disk: %v", err)
	}
}

// TestKeysAreComplete: mayfly doctor and docs/CONFIGURATION.md name each key of a policy.
func TestKeysAreComplete(t *testing.T) {
	doc, err := os.ReadFile("../../docs/CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	_, doc, _ = bytes.Cut(doc, []byte("\n## The operator's policy\n"))
	_, doc, _ = bytes.Cut(doc, []byte("```yaml"))
	example, _, _ := bytes.Cut(doc, []byte("```"))
	named := map[string]bool{}
	for _, a := range (&Policy{}).Allows() {
		named[a.Key] = true
	}
	for key := range policyShape().Schema["properties"].(shape.Schema) {
		if !named[key] {
			t.Errorf("Allows doesn't say what a policy allows under %s", key)
		}
		if !bytes.Contains(example, []byte("\n"+key+":")) {
			t.Errorf("%s isn't in the example of a policy in docs/CONFIGURATION.md", key)
		}
	}
}

func TestPolicyAllows(t *testing.T) {
	text := func(p *Policy) string {
		var lines []string
		for _, a := range p.Allows() {
			lines = append(lines, a.Key+": "+a.Text)
		}
		return strings.Join(lines, "\n")
	}
	for policy, want := range map[string]string{
		"": `networks: any
egress: anything that the tool's network reaches
images: any
max: no limit
capabilities: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID, KILL, NET_BIND_SERVICE
runtimes: any
read_only: tools may set read_only: false
secrets: any
concurrency: any number of runs at once
defaults: cpu 1000m, memory 512Mi, disk 1Gi, pids 512, timeout 10m0s, network open`,
		fullPolicy: `networks: none, list, public; a list may not contain private addresses
egress: anything that the tool's network reaches
images: registry.example.com/tools/*, alpine:*
max: cpu 2000m, memory 1Gi, disk 100Mi, pids 64, bandwidth 10000000 bit/s, timeout 5m0s
capabilities: NET_BIND_SERVICE, CAP_CHOWN
runtimes: default
read_only: the image's file system must stay read-only
secrets: any
concurrency: any number of runs at once
defaults: cpu 1000m, memory 128Mi, disk 100Mi, pids 64, bandwidth 10000000 bit/s, timeout 2m0s, network public`,
		"egress: [{host: a.example, ports: [443]}, {cidr: 10.0.0.0/8}]\nimages: []\ncapabilities: []": `networks: none, list
egress: {host: "a.example", ports: [443]}, {cidr: "10.0.0.0/8"}
images: none
max: no limit
capabilities: none
runtimes: any
read_only: tools may set read_only: false
secrets: any
concurrency: any number of runs at once
defaults: cpu 1000m, memory 512Mi, disk 1Gi, pids 512, timeout 10m0s, network list`,
		"concurrency: {project: 20, tools: {backup: 1, \"d*\": 2}}": `networks: any
egress: anything that the tool's network reaches
images: any
max: no limit
capabilities: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID, KILL, NET_BIND_SERVICE
runtimes: any
read_only: tools may set read_only: false
secrets: any
concurrency: 20 runs of the project, 1 of the tool backup, 2 of each tool d* at once, on a server
defaults: cpu 1000m, memory 512Mi, disk 1Gi, pids 512, timeout 10m0s, network open`,
	} {
		if got := text(mustPolicy(t, policy)); got != want {
			t.Errorf("%q:\n%s\nwant\n%s", policy, got, want)
		}
	}
	if got := (*Policy)(nil).Allows(); got != nil {
		t.Errorf("no policy: got %v, want nil", got)
	}
}

func TestDeadImages(t *testing.T) {
	for images, want := range map[string]struct {
		dead []string
		all  bool
	}{
		`[]`:                                  {nil, true},
		`["alpine:*", "r.example/tools/*"]`:   {nil, false},
		`["*", "[a-z]/x", "r.example/x@*"]`:   {nil, false},
		`["https://r.example/*"]`:             {[]string{"https://r.example/*"}, true},
		`["r.example/tools/", "Alpine", "x"]`: {[]string{"r.example/tools/", "Alpine"}, false},
	} {
		dead, all := mustPolicy(t, "images: "+images).DeadImages()
		if !slices.Equal(dead, want.dead) || all != want.all {
			t.Errorf("%s: got %q, %v; want %q, %v", images, dead, all, want.dead, want.all)
		}
	}
	if dead, all := mustPolicy(t, "").DeadImages(); dead != nil || all {
		t.Errorf("a policy without images: got %q, %v; want nil, false", dead, all)
	}
}

func TestAtOnce(t *testing.T) {
	p := mustPolicy(t, "concurrency: {project: 20, tools: {backup: 1, \"b*\": 2, \"*\": 9}}")
	for name, want := range map[string]int{"backup": 1, "build": 2, "x": 9, "": 9} {
		if project, got := p.AtOnce(name); got != want || project != 20 {
			t.Errorf("%s: %d, and %d of the project; want %d", name, got, project, want)
		}
	}
	if project, got := (*Policy)(nil).AtOnce("x"); project != 0 || got != 0 {
		t.Errorf("no policy: %d, %d", project, got)
	}
	if _, err := parse("p.yaml", []byte("concurrency: {project: 0}")); err == nil {
		t.Error("a policy may let no run run")
	}
}
