package sqlstore

import (
	"testing"

	"github.com/mayfly-run/mayfly/internal/store"
)

// TestDraftFileOnce gets files of a draft whose manifest isn't read again.
func TestDraftFileOnce(t *testing.T) {
	s := openSQLite(t)
	d := store.Draft{Project: "p", Name: "a", Manifest: []byte(`{"files":[{"path":"x","digest":"1"},{"path":"y","digest":"2"}]}`), Tag: "t"}
	if _, err := s.SetDraft(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"x": "1", "y": "2", "z": ""} {
		if got, err := s.DraftFile(t.Context(), "p", "a", path); got != want || err != nil {
			t.Errorf("%s: %q, %v", path, got, err)
		}
		if _, err := s.writing.ExecContext(t.Context(), `UPDATE drafts SET manifest = 'damaged'`); err != nil {
			t.Fatal(err)
		}
	}
}
