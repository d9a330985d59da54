package runner

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/secret"
)

// given are the secrets of one attempt, as the server sealed them for this runner.
type given map[string][]byte

// unseal opens what came with an attempt.
func unseal(ctx context.Context, box *secret.Box, sealed []byte) (given, error) {
	values := given{}
	if sealed == nil {
		return values, nil
	}
	data, err := box.Unseal(ctx, sealed)
	if err != nil {
		return nil, fmt.Errorf("open the attempt's secrets: %w", err)
	}
	defer clear(data)
	return values, json.Unmarshal(data, &values)
}

// Get implements secret.Source.
func (g given) Get(_ context.Context, name string) ([]byte, error) {
	if value, ok := g[name]; ok {
		return append([]byte(nil), value...), nil
	}
	return nil, &secret.NotFoundError{Name: name, Searched: []string{"the server"}, Remedy: "set it with: mayfly secret set " + name + " --server URL"}
}

func (g given) clear() {
	for _, value := range g {
		clear(value)
	}
}
