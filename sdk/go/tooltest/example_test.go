//go:build linux

package tooltest_test

import (
	"context"
	"fmt"

	"github.com/mayfly-run/mayfly/sdk/go/tooltest"
)

// printer stands in for the *testing.T of a test.
type printer struct{}

func (printer) Helper()                           {}
func (printer) Name() string                      { return "TestHealthy" }
func (printer) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (printer) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func Example() {
	var t printer // in a test: t *testing.T
	tool := tooltest.New(t, "../../../examples/deployment-checker/tool.yaml").
		Env("SERVICE_URL", "http://localhost:8080").
		HTTP(tooltest.Request{Method: "GET", Path: "/health"}, tooltest.Response{JSON: map[string]any{"status": "healthy"}})
	res := tool.Run(context.Background(), nil) // in a test: t.Context()
	res.WantExit(0).WantStdout("Service is healthy")
	res.WantRequest(tooltest.Request{Path: "/health", Times: 1})
	fmt.Print(res.Stdout)
	// Output: ✅ Service is healthy
}

func ExampleTool_Command() {
	var t printer
	tool := tooltest.Inline(t, map[string]any{
		"image":   "mayfly/shell",
		"command": "kubectl get pods -n shop",
	})
	tool.Command(tooltest.Call{Command: "kubectl", Args: []string{"get", "pods", "-n", "*"}}, tooltest.Answer{Stdout: "pod-1\n"})
	res := tool.Run(context.Background(), nil)
	res.WantCall(tooltest.Call{Command: "kubectl", Args: []string{"get", "pods"}, Prefix: true})
	fmt.Print(res.Stdout)
	// Output: pod-1
}
