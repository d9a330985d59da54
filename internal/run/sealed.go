package run

import (
	"context"
	"encoding/json"
)

// Sealer encrypts what only who asks for runs and who carries them out may read: values of secrets on their way between
// them. It may be called from several goroutines.
type Sealer interface {
	Seal(ctx context.Context, data []byte) ([]byte, error)
	// Unseal returns what was sealed. Its error says whether that was changed, or was sealed for somebody else.
	Unseal(ctx context.Context, sealed []byte) ([]byte, error)
}

// Handed is what a run hands on that has values of secrets in it, or may have.
type Handed struct {
	// Outputs are those of the run where a secret is in one of them; otherwise the result has them.
	Outputs map[string]string `json:"outputs,omitempty"`
	// Masked are values that are to be masked wherever the run's outputs and artifacts go.
	Masked [][]byte `json:"masked,omitempty"`
}

// Seal encrypts what is handed on; nil where there is nothing.
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
