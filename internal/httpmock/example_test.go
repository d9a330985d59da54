package httpmock_test

import (
	"fmt"

	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/suite"
)

// Where no mock answers a request, the verdict says which one comes nearest, and
// what keeps it from answering.
func ExampleMatch() {
	set, err := suite.ParseMocks("mocks.yaml", []byte(`
http:
  - {method: GET, path: /pods, json: {pods: 3}}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	used := make([]int, len(set.HTTP))
	for _, method := range []string{"GET", "POST"} {
		request := &httpmock.Request{Method: method, URL: "http://api.example.com/pods", Host: "api.example.com", Port: 80, Path: "/pods"}
		verdict := httpmock.Match(set.HTTP, used, request)
		fmt.Println(verdict.Mock, verdict.Nearest, verdict.Differences)
	}
	// Output:
	// 0 0 []
	// -1 0 [method: GET]
}
