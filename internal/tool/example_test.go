package tool_test

import (
	"fmt"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

const restart = `
image: bitnami/kubectl
command: kubectl rollout restart deployment/$name --replicas $count
args:
  - {name: name, required: true}
  - {name: count, type: integer, default: 2}
environment: [KUBECONFIG=/secrets/kubeconfig]
`

func ExampleParse() {
	_, err := tool.Parse("restart.yaml", []byte("image: bitnami/kubectl\ncomand: kubectl get pods\n"))
	for _, problem := range shape.Problems(err) {
		fmt.Println(problem)
	}
	// Output:
	// restart.yaml:2:1: unknown key "comand" in a tool; did you mean "command"?
}

// Inputs are checked against the tool's args, and defaults fill in what nobody gave.
func ExampleTool_Inputs() {
	t, err := tool.Parse("restart.yaml", []byte(restart))
	if err != nil {
		fmt.Println(err)
		return
	}
	inputs, err := t.Inputs(map[string]any{"name": "shop"})
	for _, in := range inputs {
		fmt.Println(in.Env, in.Value, in.Default)
	}
	fmt.Println(err)
	_, err = t.Inputs(map[string]any{"name": "shop", "count": "two"})
	fmt.Println(err)
	// Output:
	// NAME shop false
	// COUNT 2 true
	// <nil>
	// argument "count" (integer): "two" is not a whole number
}
