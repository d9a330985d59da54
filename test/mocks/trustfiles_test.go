//go:build linux

package mocks

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
	"github.com/mayfly-run/mayfly/internal/trust"
)

// certificateOf returns the certificate of a new authority, as PEM.
func certificateOf(t *testing.T, name string) string {
	t.Helper()
	file, _ := authorityFor(t, name)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTrustOfTheImagesFiles checks that the test's authority is added to certificates that an image has for its own programs,
// and that other files don't change.
func TestTrustOfTheImagesFiles(t *testing.T) {
	root, test := certificateOf(t, "root.example"), certificateOf(t, "test.example")
	keystore := string(trust.New([]byte(root)).Keystore())
	files := []imagetest.File{
		{Name: "opt/venv/certifi/cacert.pem", Body: root},
		{Name: "etc/ssl/cert.pem", Body: root},
		{Name: "opt/app/ca.crt", Body: root, UID: 1000, GID: 1000, Mode: 0o664},
		link("opt/app/link.pem", "/opt/app/ca.crt"),
		{Name: "opt/java/lib/security/cacerts", Body: keystore},
		{Name: "usr/lib/jvm/lib/security/"},
		link("usr/lib/jvm/lib/security/cacerts", "/etc/ssl/certs/java/cacerts"),
		{Name: "etc/ssl/certs/One.pem", Body: root},
		{Name: "usr/share/ca-certificates/one.crt", Body: root},
		{Name: "opt/notes.txt", Body: root},
		{Name: "opt/program.pem", Body: "\x7fELF\x00" + root},
		link("opt/out.pem", "/../../../../../../etc/passwd"), link("opt/kernel.pem", "/proc/self/environ"),
		{Name: "opt/covered/ca.pem", Body: root},
	}
	l, s := newLab(t, files...), newServer(t, nil, nil)
	a := trust.New([]byte(test))
	both, _ := a.Add([]byte(root))
	javas, _ := a.Add([]byte(keystore))
	for path, want := range map[string]string{
		"/opt/venv/certifi/cacert.pem": string(both), "/etc/ssl/cert.pem": string(both), "/opt/app/ca.crt": string(both), "/opt/app/link.pem": string(both),
		"/opt/java/lib/security/cacerts": string(javas), "/usr/lib/jvm/lib/security/cacerts": string(a.Keystore()),
		"/etc/ssl/certs/One.pem": root, "/usr/share/ca-certificates/one.crt": root, "/opt/notes.txt": root, "/opt/program.pem": "\x7fELF\x00" + root,
		"/opt/covered/ca.pem": "the tool's\n", "/etc/ssl/certs/" + a.HashName(): test,
	} {
		spec := l.spec(s, none, "sh", "-c", "cat "+path)
		spec.Mounts = []engine.Mount{{Kind: engine.MountContent, Target: "/opt/own/ca.pem", Content: []byte("the tool's\n")}}
		if strings.Contains(path, "covered") {
			spec.Mounts[0].Target = path
		}
		spec.Mocks.Authority = []byte(test)
		if r := l.run(spec, nil); r.stdout != want {
			t.Errorf("%s: %q, want %q", path, r.stdout, want)
		}
	}
	many := l.spec(s, none, "true")
	many.Mocks.Authority = []byte(test)
	for i := range 100 {
		many.Environment = append(many.Environment, engine.Variable{Name: fmt.Sprint("CA", i), Value: root})
	}
	if r := l.run(many, nil); len(r.Trusting) != 21 || r.Trusting[0] != "variable CA0" || r.Trusting[20] != "others" {
		t.Errorf("got %q, want 20 variables and others", r.Trusting)
	}
	spec := l.spec(s, none, "stat", "-c", "%u:%g %a", "/opt/app/ca.crt")
	spec.Mocks.Authority = []byte(test)
	if r := l.run(spec, nil); r.stdout != "1000:1000 664\n" {
		t.Errorf("owner and mode are %q", r.stdout)
	}
	if r := l.run(l.spec(s, none, "cat", "/opt/app/ca.crt"), nil); r.stdout != root {
		t.Errorf("without an authority: %q", r.stdout)
	}
}

// TestClientsWithCertificatesOfTheirOwn runs clients that get certificates from a file, a text or a field of a kubeconfig,
// instead of the system's. The report must name what was changed, and a changed secret must still be masked.
func TestClientsWithCertificatesOfTheirOwn(t *testing.T) {
	s := newSuites(t)
	root := certificateOf(t, "root.example")
	if err := os.MkdirAll(filepath.Join(s.dir, "site", "certs"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("site/certs/cacert.pem", "# Root\n"+root)
	s.write("ask.py", `import base64, os, re, ssl, sys, urllib.request
how = sys.argv[1]
if how == "text":
    trusted = ssl.create_default_context(cadata=os.environ["CA"])
elif how == "kubeconfig":
    config = open("/root/.kube/config").read()
    trusted = ssl.create_default_context(cadata=base64.b64decode(re.search("certificate-authority-data: (.*)", config)[1]).decode())
elif how == "variable":
    config = base64.b64decode(os.environ["KUBE"]).decode()
    print(os.environ["KUBE"])
    trusted = ssl.create_default_context(cadata=base64.b64decode(re.search("certificate-authority-data: (.*)", config)[1]).decode())
print(urllib.request.urlopen("https://k8s.example.com:6443/version", context=trusted).read().decode())
`)
	config := fmt.Sprintf("clusters: [{name: a}]\ncertificate-authority-data: %s\n", base64.StdEncoding.EncodeToString([]byte(root)))
	tool := map[string]any{
		"name": "own", "image": "mayfly/clients", "args": []any{map[string]any{"name": "run"}}, "command": `eval "$RUN"`, "environment": map[string]any{"CA": root, "KUBE": "/secrets/encoded"},
		"volumes": []any{
			map[string]any{"name": "site", "file": "site", "mount_path": "/opt/site"},
			map[string]any{"name": "ask", "file": "ask.py", "mount_path": "/opt/ask.py"},
			map[string]any{"name": "config", "secret": "kubeconfig", "mount_path": "/root/.kube/config"},
		},
	}
	const file = "/opt/site/certs/cacert.pem"
	runs := map[string]string{
		"curl --cacert": `curl -sS --cacert ` + file + ` https://k8s.example.com:6443/version`,
		"requests":      `python3 -c 'import requests; print(requests.get("https://k8s.example.com:6443/version", verify="` + file + `").text)'`,
		"node":          `node -e 'require("https").get("https://k8s.example.com:6443/version", {ca: require("fs").readFileSync("` + file + `")}, r => r.pipe(process.stdout))'`,
		"text":          `python3 /opt/ask.py text`,
		"kubeconfig":    `python3 /opt/ask.py kubeconfig`,
		"variable":      `python3 /opt/ask.py variable`,
		"no variables":  `env -i /usr/bin/python3 -c 'import urllib.request as r; print(r.urlopen("https://k8s.example.com:6443/version").read())'`,
	}
	var tests []any
	for name, run := range runs {
		tests = append(tests, map[string]any{"name": name, "inputs": map[string]any{"run": run}, "expect": map[string]any{"stdout": map[string]any{"contains": "a cluster"}}})
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(config))
	s.add("own", map[string]any{
		"tool": tool, "tests": tests, "secrets": map[string]any{"kubeconfig": config, "encoded": encoded},
		"http": []any{map[string]any{"url": "https://k8s.example.com:6443/version", "body": "a cluster"}},
	})
	r := s.run()
	for name := range runs {
		t.Run(name, func(t *testing.T) {
			res := r.result(t, name)
			notes := strings.Join(res.Notes, "\n")
			if res.Status != report.Passed {
				t.Errorf("%s %v %s %s", res.Status, res.Failures, res.Error, res.Stderr)
			}
			for _, want := range []string{file, "/root/.kube/config", "variable CA", "variable KUBE"} {
				if !strings.Contains(notes, want) {
					t.Errorf("%s isn't in %q", want, notes)
				}
			}
			if strings.Contains(notes, "ask.py") || name == "variable" && res.Stdout != "***\na cluster\n" {
				t.Errorf("%q, and it printed %q", notes, res.Stdout)
			}
		})
	}
}

// TestClientsJava checks that Java, with its own keystore, trusts the mocks. Debian's package makes the keystore in a script
// that isn't run for the image. keytool fetches a revocation list from a URL; the test only checks that the request came.
func TestClientsJava(t *testing.T) {
	s := newSuites(t)
	s.add("java", map[string]any{
		"tool": map[string]any{"name": "java", "image": "mayfly/java", "resources": map[string]any{"memory": "1Gi"}, "command": []any{"keytool", "-printcrl", "-file", "https://crl.example.com/list"}},
		"tests": []any{map[string]any{
			"name": "java", "http": []any{map[string]any{"url": "https://crl.example.com/list", "body": "none"}},
			"expect": map[string]any{"exit_code": "any", "requests": []any{map[string]any{"path": "/list", "count": 1}}},
		}},
	})
	if res := s.run().result(t, "java"); res.Status != report.Passed {
		t.Errorf("%s %v %s %s %s", res.Status, res.Failures, res.Error, res.Stdout, res.Stderr)
	}
}
