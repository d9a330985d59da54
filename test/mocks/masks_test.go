//go:build linux

package mocks

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// podOf returns a cluster's description of a pod that has a token.
func podOf(name, token string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "namespace": "default", "labels": map[string]any{"app": "admin", "cluster": "kubernetes"}, "creationTimestamp": "2026-01-02T03:04:05Z"},
		"spec": map[string]any{
			"containers":         []any{map[string]any{"name": "web", "image": "nginx:1.25", "env": []any{map[string]any{"name": "TOKEN", "value": token}, map[string]any{"name": "USER", "value": "admin"}}}},
			"serviceAccountName": "default", "nodeName": "kubernetes-1",
		},
		"status": map[string]any{"phase": "Running", "hostIP": "10.0.0.1"},
	}
}

// TestMasksOnRealOutput runs kubectl, git, jq and env with a kubeconfig and a service account. The secrets in them must be
// masked wherever they are printed, and nothing else.
func TestMasksOnRealOutput(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	token := "tok-" + rand.Text()
	account, err := json.MarshalIndent(map[string]any{
		"type": "service_account", "project_id": "demo-1", "private_key_id": strings.ToLower(rand.Text()), "private_key": private,
		"client_email": "robot@demo-1.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	config := `apiVersion: v1
kind: Config
current-context: default
clusters: [{name: kubernetes, cluster: {server: "https://k8s.example.com:6443"}}]
contexts: [{name: default, context: {cluster: kubernetes, namespace: default, user: admin}}]
users: [{name: admin, user: {token: ` + token + `}}]
`
	s := newSuites(t)
	discovery := map[string]any{
		"/api": map[string]any{"kind": "APIVersions", "versions": []string{"v1"}}, "/apis": map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{}},
		"/api/v1": map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{
			map[string]any{"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": []string{"get", "list"}, "shortNames": []string{"po"}},
		}},
		"/api/v1/namespaces/default/pods": map[string]any{"kind": "PodList", "apiVersion": "v1", "metadata": map[string]any{}, "items": []any{podOf("web-1", token), podOf("web-2", "default")}},
	}
	var mocks []any
	for path, answer := range discovery {
		mocks = append(mocks, map[string]any{"url": "https://k8s.example.com:6443" + path, "json": answer})
	}
	runs := map[string]struct {
		image, command string
		masks          int
		kept           []string
	}{
		"pods": {"kubectl", "kubectl get pods -o yaml", 1, []string{
			"namespace: default", "app: admin", "cluster: kubernetes", "serviceAccountName: default", "value: admin", "value: default", "nodeName: kubernetes-1", "value: ***",
		}},
		"config": {"kubectl", "kubectl config view --raw", 1, []string{
			"current-context: default", "name: kubernetes", "namespace: default", "user: admin", "server: https://k8s.example.com:6443", "token: ***",
		}},
		"log": {"clients", `git init -q /tmp/r && cd /tmp/r && for m in "default for kubernetes" "robot of demo-1" "token $(jq -rn --rawfile c $KUBECONFIG '$c' | sed -n 's/.*token: \(.*\)}}]/\1/p')"; do
			git -c user.name=admin -c user.email=robot@demo-1.iam.gserviceaccount.com commit -q --allow-empty -m "$m"; done; git log --format='%an <%ae> %s'`, 1, []string{
			"admin <robot@demo-1.iam.gserviceaccount.com> default for kubernetes", "robot of demo-1", "token ***",
		}},
		"account": {"clients", "jq . /run/secrets-account", 2, []string{
			`"type": "service_account"`, `"project_id": "demo-1"`, `"client_email": "robot@demo-1.iam.gserviceaccount.com"`, `"token_uri": "https://oauth2.googleapis.com/token"`, `"private_key": "-----BEGIN RSA PRIVATE KEY-----\n***\n-----END RSA PRIVATE KEY-----\n"`, `"private_key_id": "***"`,
		}},
		"variables": {"clients", "env", 2, []string{"ACCOUNT={", `"project_id": "demo-1"`, "KUBECONFIG=/root/.kube/config", "USER_OF_IT=admin", "NAMESPACE=default"}},
	}
	for name, run := range runs {
		s.add(name, map[string]any{
			"tool": map[string]any{
				"name": name, "image": "mayfly/" + run.image, "command": run.command,
				"environment": map[string]any{"KUBECONFIG": "/root/.kube/config", "ACCOUNT": "/secrets/account", "USER_OF_IT": "admin", "NAMESPACE": "default"},
				"volumes": []any{
					map[string]any{"name": "config", "secret": "kubeconfig", "mount_path": "/root/.kube/config"},
					map[string]any{"name": "account", "secret": "account", "mount_path": "/run/secrets-account"},
				},
			},
			"secrets": map[string]any{"kubeconfig": config, "account": string(account)},
			"tests":   []any{map[string]any{"name": name, "http": mocks}},
		})
	}
	r := s.run()
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			res := r.result(t, name)
			if res.Status != report.Passed {
				t.Fatalf("%s %v %s %s", res.Status, res.Failures, res.Error, res.Stderr)
			}
			if n := strings.Count(res.Stdout, "***"); n != run.masks {
				t.Errorf("%d masks, want %d", n, run.masks)
			}
			for _, want := range run.kept {
				if !strings.Contains(res.Stdout, want) {
					t.Errorf("the output lacks %q", want)
				}
			}
			lines := strings.Split(private, "\n")
			for _, leak := range []string{token, base64.StdEncoding.EncodeToString([]byte(token)), lines[1], lines[len(lines)/2]} {
				if strings.Contains(res.Stdout, leak) {
					t.Errorf("the output has the secret %q", leak)
				}
			}
			if t.Failed() {
				t.Logf("%s", res.Stdout)
			}
		})
	}
}
