package host

import (
	"context"
	"sync"

	"github.com/mayfly-run/mayfly/internal/secret"
)

// noticing is a source of secrets that tells unmasked the name of each secret that is too short to be masked, once.
type noticing struct {
	secret.Source
	unmasked func(name string)

	mu   sync.Mutex
	told map[string]bool
}

func (n *noticing) Get(ctx context.Context, name string) ([]byte, error) {
	value, err := n.Source.Get(ctx, name)
	if err != nil || secret.Maskable(value) {
		return value, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.told[name] {
		n.told[name] = true
		n.unmasked(name)
	}
	return value, nil
}
