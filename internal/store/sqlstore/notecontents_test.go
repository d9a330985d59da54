package sqlstore

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/mayfly-run/mayfly/internal/store"
)

// notesContents has a database from before contents were noted by project: what versions, drafts and requests of a project name is noted.
func notesContents(t *testing.T, open func() *Store) {
	s := open()
	ctx := t.Context()
	files := func(digests ...string) string {
		text := `{"definition":"t.yaml","files":[`
		for i, d := range digests {
			if i > 0 {
				text += ","
			}
			text += `{"path":"t.yaml","digest":"` + d + `","size":1}`
		}
		return text + "]}"
	}
	for i, d := range []string{"v1", "v2"} {
		if _, _, err := s.AddVersion(ctx, store.Version{Project: "p", Tool: "t", Manifest: []byte(files(d, "shared")), Digest: d}); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := s.SetDraft(ctx, store.Draft{Project: "p", Name: "d", Manifest: []byte(files("draft")), Tag: "d"}, nil); err != nil {
		t.Fatal(err)
	}
	for id, request := range map[string]string{
		"bundle": `{"asked":{"bundle":` + files("run") + `},"inputs":{"x":"sha256:input"},"tool":{"files":"tree"}}`, "flow": `{"bundle":` + files("flow") + `}`,
		"plain": `{"inputs":{}}`, "sealed": `{"sealed":"eA==","contents":["digits"]}`, "none": `{"asked":{"bundle":{"files":null}}}`, "damaged": `{`,
	} {
		if err := s.Accept(ctx, store.NewRun{ID: id, Project: "q", Pool: "default", Request: []byte(request)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []string{`DROP TABLE contents`, `ALTER TABLE chunks DROP COLUMN output`, `DELETE FROM goose_db_version WHERE version_id >= 17`} {
		if _, err := s.writing.ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	again := open()
	for project, want := range map[string]string{"p": "[draft shared v1 v2]", "q": "[flow run]"} {
		has, err := again.Contents(ctx, project, []string{"v1", "v2", "shared", "draft", "run", "flow", "tree", "sha256:input", "digits", ""})
		if got := fmt.Sprint(slices.Sorted(maps.Keys(has))); err != nil || got != want {
			t.Errorf("of %s, %s are noted, %v; want %s", project, got, err, want)
		}
	}
}

// TestNotesContents is notesContents for SQLite.
func TestNotesContents(t *testing.T) {
	file := t.TempDir() + "/a.db"
	notesContents(t, func() *Store { return openFile(t, file) })
}
