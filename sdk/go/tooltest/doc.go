// Package tooltest tests operations tools from Go. Each tool runs in its real sandbox, with mocks in place of the network and
// of commands.
//
//	func TestHealthy(t *testing.T) {
//		tool := tooltest.New(t, "deployment-checker").
//			Env("SERVICE_URL", "http://localhost:8080").
//			HTTP(tooltest.Request{Method: "GET", Path: "/health"}, tooltest.Response{JSON: map[string]any{"status": "healthy"}})
//		res := tool.Run(t.Context(), nil)
//		res.WantExit(0)
//		res.WantRequest(tooltest.Request{Path: "/health", Times: 1})
//	}
//
// The mayfly command runs the tools. The environment variable MAYFLY names it if it isn't in PATH. docs/TESTING.md describes
// what mocks can do, and the rules of every test: nothing leaves the machine except to hosts that [Tool.AllowNetwork] names,
// and a request or call that no mock answers fails the test.
//
// If several mocks match, the one registered last answers, so that a test can override what its helpers have registered. A
// mock with Times answers that many times, and after that the mocks registered before it. Each run starts afresh.
package tooltest
