// Package tooltest tests operations tools from Go: each runs in its real sandbox, with mocks in the place of the world.
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
// The mayfly command runs the tools; the environment variable MAYFLY names it where it isn't in PATH. What mocks can do, and
// what always holds in a test, is described in docs/TESTING.md: nothing leaves the machine that [Tool.AllowNetwork] doesn't
// name, and a request or call that no mock answers fails the test.
//
// Of several mocks that match, the one registered last answers, so that a test can differ from what its helpers have
// registered. One with Times answers so often, and the ones before it then. Each run begins anew.
package tooltest
