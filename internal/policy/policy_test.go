package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/tool"
)

const fullPolicy = `
defaults: {memory: 128Mi, timeout: 2m, network: public}
max: {cpu: 2, memory: 1Gi, disk: 100Mi, pids: 64, bandwidth: 10Mbps, timeout: 5m}
networks: [none, list, public]
capabilities: [NET_BIND_SERVICE, CAP_CHOWN]
runtimes: [default]
images: ["registry.example.com/tools/*", "alpine:*"]
read_only: true
`

func parseTool(t *testing.T, text string) *tool.Tool {
	t.Helper()
	parsed, err := tool.Parse("tool.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestPolicyRefusesWhatExceedsIt(t *testing.T) {
	p, err := parse("policy.yaml", []byte(fullPolicy))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"resources: {cpu: 3}":      "cpu 3000m: at most 2000m is allowed",
		"resources: {memory: 2Gi}": "memory 2Gi: at most 1Gi is allowed",
		"resources: {disk: 200Mi}": "disk 200Mi: at most 100Mi is allowed",
		"resources: {disk: 60Mi}\nvolumes: [{name: v, size: 50Mi, mount_path: /v}]": "disk 110Mi: at most 100Mi is allowed",
		"resources: {pids: 65}":         "pids 65: at most 64 is allowed",
		"resources: {bandwidth: 1Gbps}": "bandwidth 1000000000 bit/s: at most 10000000 bit/s is allowed",
		"timeout: 6m":                   "timeout 6m0s: at most 5m0s is allowed",
		"network: open":                 "network open: it allows only none, list, public",
		"network: [{host: a.example}, {cidr: 0.0.0.0/0}]": `the egress rule {cidr: "0.0.0.0/0"} (tool.yaml:1:30): its networks don't include open, so an egress list may not contain private addresses`,
		"security: {capabilities: [SYS_ADMIN]}":           "capability SYS_ADMIN: it allows only NET_BIND_SERVICE, CAP_CHOWN",
		"security: {runtime: gvisor}":                     "runtime gvisor: it allows only default",
		"security: {read_only: false}":                    "read_only: false: the image's file system must stay read-only",
		"image: docker.io/evil/tool":                      "image docker.io/evil/tool: it allows only registry.example.com/tools/*, alpine:*",
		"image: registry.example.com/toolsandmore/x":      "image registry.example.com/toolsandmore/x: it allows only",
	} {
		_, err := p.Apply(parseTool(t, text))
		var denied *DeniedError
		if !errors.As(err, &denied) || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "policy.yaml") != 1 || denied.Missing != "" {
			t.Errorf("%s: got %v, want %q and the policy's path once", text, err, want)
		}
	}
	for _, text := range []string{
		"image: registry.example.com/tools/kubectl:1", "image: alpine:3", "network: none", "network: [{host: a.example.com}]",
		"security: {capabilities: [CHOWN]}", "resources: {cpu: 2, memory: 1Gi, disk: 100Mi, pids: 64, bandwidth: 10Mbps}\ntimeout: 5m",
	} {
		if _, err := p.Apply(parseTool(t, text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPolicyFillsWhatAToolLeavesOpen(t *testing.T) {
	p, err := parse("policy.yaml", []byte(fullPolicy))
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Apply(parseTool(t, "name: a"))
	if err != nil {
		t.Fatal(err)
	}
	// Memory, timeout and network are the policy's defaults. Disk, pids and
	// bandwidth are its maxima, which are below the built-in defaults. The CPU
	// limit is the built-in default.
	if r := got.Resources; r.Memory != 128<<20 || r.Disk != 100<<20 || r.PIDs != 64 || r.CPU != 1000 || r.Bandwidth != 10_000_000 {
		t.Errorf("got %+v", r)
	}
	if got.Timeout != 2*time.Minute || got.Network.Mode != network.ModePublic {
		t.Errorf("got the timeout %v and the network %v, want 2m and public", got.Timeout, got.Network)
	}
}

// TestPolicyOfOpenFiles checks that a maximum lowers the hard limit of a tool that sets nothing, and raises nothing.
func TestPolicyOfOpenFiles(t *testing.T) {
	for most, want := range map[int]int64{4096: 4096, 65536: 0, 500_000: 0} {
		got, err := mustPolicy(t, fmt.Sprintf("max: {nofile: %d}", most)).Apply(parseTool(t, "name: a"))
		if err != nil || got.Resources.NoFile != 0 || got.Resources.MostNoFile != want {
			t.Errorf("a maximum of %d: got %+v, %v; want %d", most, got.Resources, err, want)
		}
	}
}

func TestWithoutAPolicy(t *testing.T) {
	var none *Policy
	if _, err := none.Apply(parseTool(t, "security: {capabilities: [NET_BIND_SERVICE], read_only: false}\nresources: {memory: 100Gi}")); err != nil {
		t.Error(err)
	}
	_, err := none.Apply(parseTool(t, "security: {capabilities: [SYS_ADMIN]}"))
	var denied *DeniedError
	if !errors.As(err, &denied) {
		t.Errorf("SYS_ADMIN without a policy: %v", err)
	}
}

// TestPolicyImages checks that a pattern matches an image in every form of the pattern and of the reference.
func TestPolicyImages(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	hub := []string{"", "library/", "docker.io/", "docker.io/library/", "index.docker.io/", "index.docker.io/library/"}
	allowed := func(pattern, ref string) bool {
		_, err := mustPolicy(t, "images: ["+strconv.Quote(pattern)+"]").Apply(parseTool(t, "image: "+strconv.Quote(ref)))
		var denied *DeniedError
		if err != nil && !errors.As(err, &denied) {
			t.Errorf("%s under %s: %v", ref, pattern, err)
		}
		return err == nil
	}
	for _, before := range hub {
		for _, asked := range hub {
			for _, c := range []struct {
				pattern, ref string
				want         bool
			}{
				{"x:*", "x:1", true},
				{"x:*", "x", true},
				{"x:*", "x:1" + digest, true},
				{"x", "x:latest", true},
				{"x:latest", "x", true},
				{"x@*", "x" + digest, true},
				{"x:1", "x:1" + digest, false},
				{"x:1*", "x:1" + digest, false},
				{"x:prod-*", "x:prod-1" + digest, false},
				{"x:1@*", "x:1" + digest, true},
				{"x", "x:1", false},
				{"x:*", "xx:1", false},
				{"x:*", "team/x:1", false},
			} {
				if strings.Contains(c.ref, "/") && strings.HasSuffix(asked, "library/") {
					continue
				}
				if pattern, ref := before+c.pattern, asked+c.ref; allowed(pattern, ref) != c.want {
					t.Errorf("%s under %s: allowed %v, want %v", ref, pattern, !c.want, c.want)
				}
			}
		}
	}
	for _, c := range []struct {
		pattern, ref string
		want         bool
	}{
		{"docker.io/*", "x", true},
		{"docker.io/*", "team/x", true},
		{"team/*", "docker.io/team/x:1", true},
		{"docker.io/team/*", "team/x:1", true},
		{"r.example/*", "r.example/a/x", true},
		{"r.example/*", "docker.io/r.example/x", false},
		{"localhost/*", "docker.io/localhost/x", false},
		{"x:*", "r.example/x:1", false},
		{"x:*", "r.example/library/x:1", false},
		{"docker.io/*", "r.example/docker.io/x", false},
	} {
		if allowed(c.pattern, c.ref) != c.want {
			t.Errorf("%s under %s: allowed %v, want %v", c.ref, c.pattern, !c.want, c.want)
		}
	}
	// A name that leaves the folder of the pattern is invalid.
	_, err := mustPolicy(t, "images: [r.example/tools/*]").Apply(parseTool(t, "image: r.example/tools/../other/x"))
	if !errors.Is(err, image.ErrReference) {
		t.Errorf("..: %v", err)
	}
}

// TestN07_AMissingPolicy checks that a missing file means no policy for Find, but not for Load, and not if a link leads to it.
func TestN07_AMissingPolicy(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	if p, err := Find(missing); p != nil || err != nil {
		t.Errorf("find a missing file: %v, %v", p, err)
	}
	if p, err := Load(missing); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("load a missing file: %v, %v", p, err)
	}
	dangling := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.Symlink(missing, dangling); err != nil {
		t.Fatal(err)
	}
	if p, err := Find(dangling); err == nil || !strings.Contains(err.Error(), dangling) {
		t.Errorf("a link to a missing file: %v, %v", p, err)
	}
	dir := t.TempDir()
	if p, err := Find(dir); err == nil || strings.Count(err.Error(), dir) != 1 {
		t.Errorf("a folder: %v, %v; want the path once", p, err)
	}
}

func TestPolicyFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"networks: []\n" + strings.Repeat("#\n", maxPolicyBytes/2): "it is larger than 1048576 bytes",
		"maximum: {}":                           "policy.yaml:1:1: unknown key \"maximum\" in the policy; its keys are defaults, max",
		"max: {memory: 1Qi}":                    "policy.yaml:1:15: memory \"1Qi\" is not a size",
		"max: {ram: 1Gi}":                       "unknown key \"ram\" in max",
		"max: {network: open}":                  "unknown key \"network\" in max",
		"defaults: {network: all}":              "network \"all\" is not a network mode; write none, public or open",
		"networks: [some]":                      "policy.yaml:1:12: a network \"some\" is not a network mode; write none, list, public or open",
		"images: ['[']":                         "\"[\" is not a pattern of images; write it as",
		"egress:":                               "egress must be a list, not empty",
		"networks:":                             "networks must be a list, not empty",
		"networks: []":                          "networks is empty, so no tool can run",
		"images: ~":                             "images must be a list, not empty",
		"max: {}\n---\nnetworks: [none]":        "more than one YAML document",
		"egress: open":                          "egress must be a list",
		"max: {}\negress:\n  - {host: 'a b'}":   "policy.yaml:3:12: host \"a b\" is not a host",
		"egress: [{hosts: a}]":                  "unknown key \"hosts\" in a rule",
		"defaults: {timeout: 5}":                "timeout \"5\" has no unit; write 5s for seconds",
		": :":                                   "policy",
		"maxx: {}":                              `unknown key "maxx" in the policy; did you mean "max"?`,
		"capabilities: [SYS_ADMINN]":            `"SYS_ADMINN" is not known to Linux; did you mean "SYS_ADMIN"?`,
		"read_only: yes":                        "read_only must be true or false",
		"max: [1]":                              "policy.yaml:1:6: max must be a mapping of keys",
		"images: x":                             `policy.yaml:1:9: images must be a list, not the text "x"; write [x]`,
		"networks: none":                        `networks must be a list, not the text "none"; write [none]`,
		"capabilities: root":                    `capabilities must be a list, not the text "root"; write [root]`,
		"runtimes: gvisor":                      `runtimes must be a list, not the text "gvisor"; write [gvisor]`,
		"runtimes: [foo]":                       `runtime "foo" is not a runtime; write default or gvisor`,
		"egress: [{host: a.example, ports: a}]": `ports must be a list, not the text "a"; write [a]`,
		"max:\n  memory: 1Gi\n bad":             "policy.yaml:3:1: this is not valid YAML",
		"max: {}\nmax: {}":                      "max",
		"networks: !host [none]":                "policy.yaml:1:11: ",

		"egress: [{host: a}]\nnetworks: [list, open]":      "networks: open reaches more than any egress rules",
		"egress: [{host: a}]\nnetworks: [public]":          "networks: public reaches more than any egress rules",
		"egress: [{host: a}]\ndefaults: {network: public}": "defaults: network public reaches more than any egress rules",
	} {
		path := filepath.Join(t.TempDir(), "policy.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.60q: got %v, want %q and the path", text, err, want)
		}
	}
}

// TestPolicyOfTheDocs parses the example in docs/CONFIGURATION.md.
func TestPolicyOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "## The operator's policy")
	_, rest, found2 := strings.Cut(rest, "```yaml\n")
	example, _, found3 := strings.Cut(rest, "```")
	if !found || !found2 || !found3 {
		t.Fatal("there is no example")
	}
	if _, err := parse("policy.yaml", []byte(example)); err != nil {
		t.Error(err)
	}
}

// TestLimitsAreComplete checks that a policy can set a maximum and a default for every limit.
func TestLimitsAreComplete(t *testing.T) {
	values := map[string][3]string{ // a maximum, a larger value, and a default
		"cpu": {"1", "2", "0.5"}, "memory": {"64Mi", "128Mi", "32Mi"}, "disk": {"64Mi", "128Mi", "32Mi"}, "pids": {"100", "200", "50"},
		"nofile": {"100", "200", "80"}, "bandwidth": {"1Mbps", "2Mbps", "500kbps"},
	}
	for _, l := range tool.Limits() {
		v := values[l.Name]
		p := mustPolicy(t, fmt.Sprintf("max: {%s: %s}\ndefaults: {%s: %s}", l.Name, v[0], l.Name, v[2]))
		_, err := p.Apply(parseTool(t, fmt.Sprintf("resources: {%s: %s}", l.Name, v[1])))
		var denied *DeniedError
		if !errors.As(err, &denied) || !strings.HasPrefix(denied.What, l.Name+" ") {
			t.Errorf("%s: %s is allowed, but the maximum is %s: %v", l.Name, v[1], v[0], err)
		}
		got, err := p.Apply(parseTool(t, "name: a"))
		want := parseTool(t, fmt.Sprintf("resources: {%s: %s}", l.Name, v[2]))
		if err != nil || *l.Of(&got.Resources) != *l.Of(&want.Resources) {
			t.Errorf("%s: a tool that doesn't set it gets %d, not the default %s: %v", l.Name, *l.Of(&got.Resources), v[2], err)
		}
	}
}
