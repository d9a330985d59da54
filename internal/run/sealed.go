package run

import (
	"context"
	"encoding/json"
)

// Sealer encrypts values of secrets on their way between the caller and the runner, which only these two may read. It may be
// called from several goroutines.
type Sealer interface {
	Seal(ctx context.Context, data []byte) ([]byte, error)
	// Unseal returns what was sealed. Its error says whether the data was changed, or was sealed for another key.
	Unseal(ctx context.Context, sealed []byte) ([]byte, error)
}

// Handed is what a run passes to later runs that contains values of secrets, or may contain them.
type Handed struct {
	// Outputs are the run's outputs if one of them contains a secret; otherwise the result has them.
	Outputs map[string]string `json:"outputs,omitempty"`
	// Masked are values that must be masked wherever the run's outputs and artifacts go.
	Masked [][]byte `json:"masked,omitempty"`
}

// Seal encrypts h. It returns nil if h is empty.
func (h *Handed) Seal(ctx context.Context, s Sealer) ([]byte, error) {
	if len(h.Outputs) == 0 && len(h.Masked) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return s.Seal(ctx, data)
}

// Unseal decrypts what [Handed.Seal] returned.
func Unseal(ctx context.Context, s Sealer, sealed []byte) (*Handed, error) {
	h := &Handed{}
	if sealed == nil {
		return h, nil
	}
	data, err := s.Unseal(ctx, sealed)
	if err != nil {
		return nil, err
	}
	return h, json.Unmarshal(data, h)
}
