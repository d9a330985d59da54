package server

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/api"
)

// TestReference compares the list in docs/API.md with the API's description.
func TestReference(t *testing.T) {
	page, err := os.ReadFile("../../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(page), "|---|---|---|---|\n")
	if !ok {
		t.Fatal("docs/API.md has no list")
	}
	list, _, _ = strings.Cut(list, "\n\n")
	r := newRig(t)
	var want []string
	for op := range operations(r.api.OpenAPI()) {
		role, _ := op.Metadata[roleKey].(string)
		want = append(want, fmt.Sprintf("| `%s` | %s `%s` | %s | %s |", op.OperationID, op.Method, strings.TrimPrefix(op.Path, api.Prefix), role, op.Summary))
	}
	// By address, so that operations of one thing are together.
	slices.SortFunc(want, func(a, b string) int { return strings.Compare(address(a), address(b)) })
	if got := strings.TrimSpace(list); got != strings.Join(want, "\n") {
		t.Errorf("docs/API.md has\n%s\n\nand the server\n\n%s", got, strings.Join(want, "\n"))
	}
}

// address is a line's path and method.
func address(line string) string {
	method, path, _ := strings.Cut(strings.Split(line, " | ")[1], " ")
	return path + " " + method
}
