package drafts

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/store"
)

const hour = time.Hour

func marshal(t *testing.T, b api.Bundle) []byte {
	t.Helper()
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func bundleOf(t *testing.T, d store.Draft) (b api.Bundle) {
	t.Helper()
	if err := json.Unmarshal(d.Manifest, &b); err != nil {
		t.Fatal(err)
	}
	return b
}
