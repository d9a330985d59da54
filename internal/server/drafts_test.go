package server

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// draftOfText is a draft of one file, whose content is sent.
func (r *rig) draftOfText(t *testing.T, c *api.Client, file, text string) *api.SetDraft {
	t.Helper()
	digest := digestOfText(text)
	if err := c.PutContent(t.Context(), "own", digest, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return &api.SetDraft{Bundle: api.Bundle{Definition: file, Files: []api.File{{Path: file, Digest: digest, Size: int64(len(text))}}}}
}

// TestDrafts writes a draft, changes it, runs it as it is, and removes it.
func TestDrafts(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t, "own "+RoleAuthor), t.Context()
	const name = "my tools/bäckup.yaml"
	broken := r.draftOfText(t, c, "bäckup.yaml", "image: busybox\ncommand: [echo\n")
	broken.Base = 3
	d, err := c.SetDraft(ctx, "own", name, "", broken)
	if err != nil || d.Name != name || d.Kind != "tool" || d.Base != 3 || d.ChangedBy != RoleAuthor || d.Definition != "bäckup.yaml" || d.Changed.IsZero() || len(d.Files) != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := c.Validate(ctx, "own", &broken.Bundle); err == nil {
		t.Error("what is wrong is right")
	}
	repaired := r.draftOfText(t, c, "bäckup.yaml", "image: busybox\ncommand: [echo]\n")
	repaired.Files = append(repaired.Files, api.File{Path: "a/run.sh", Digest: repaired.Files[0].Digest, Size: repaired.Files[0].Size, Executable: true})
	next, err := c.SetDraft(ctx, "own", name, d.ETag, repaired)
	if err != nil || next.ETag == d.ETag || len(next.Files) != 2 || next.Files[0].Path != "a/run.sh" || !next.Files[0].Executable || next.Base != 0 {
		t.Fatalf("%+v, %v", next, err)
	}
	if got, err := c.Draft(ctx, "own", name); err != nil || fmt.Sprint(got) != fmt.Sprint(next) {
		t.Errorf("%+v, %v, want %+v", got, err, next)
	}
	if list, err := c.Drafts(ctx, "own"); err != nil || len(list.Drafts) != 1 || list.Drafts[0] != next.Draft {
		t.Errorf("%+v, %v", list, err)
	}
	if one, err := c.CreateRun(ctx, "own", &api.NewRun{Bundle: &api.Bundle{Definition: next.Definition, Files: next.Files}}); err != nil || one.Kind != "tool" {
		t.Errorf("a run of it: %+v, %v", one, err)
	}
	escaped := "/api/v1/projects/own/drafts/my%20tools%2Fb%C3%A4ckup.yaml"
	if status, _ := r.call(t, "GET", escaped+"/files/a%2Frun.sh", r.tokens["own "+RoleViewer], ""); status != http.StatusOK {
		t.Errorf("a file: %d", status)
	}
	if status, p := r.call(t, "GET", escaped+"/files/none", r.tokens["own "+RoleViewer], ""); status != http.StatusNotFound || p.Detail != `there is no file "none" in draft `+name {
		t.Errorf("no such file: %d %v", status, p)
	}
	for _, tag := range []string{d.ETag, "x"} {
		if err := c.DeleteDraft(ctx, "own", name, tag); !codeIs(err, run.CodeChanged) {
			t.Errorf("remove %s: %v", tag, err)
		}
	}
	if err := c.DeleteDraft(ctx, "own", name, next.ETag); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Draft(ctx, "own", name); !codeIs(err, run.CodeNoSuchThing) {
		t.Errorf("removed: %v", err)
	}
	entries := strings.Join(r.since(t, 0), "\n")
	for _, want := range []string{
		"author set-draft own drafts/" + name + " ok map[etag:" + next.ETag + "]", "author delete-draft own drafts/" + name + " changed_meanwhile map[]", "author delete-draft own drafts/" + name + " ok map[]",
	} {
		if !strings.Contains(entries, want) {
			t.Errorf("the audit log has no %s:\n%s", want, entries)
		}
	}
}

func codeIs(err error, code run.Code) bool {
	p := asProblem(err)
	return p != nil && p.Reason == code
}

// TestDraftConditions changes a draft on conditions that hold and that don't.
func TestDraftConditions(t *testing.T) {
	r := newRig(t)
	body, other := r.bundle(t, oneTool), r.bundle(t, nextTool)
	at := "/api/v1/projects/own/drafts/d"
	etag := ""
	put := func(body, header, value string, want int) {
		t.Helper()
		status, tag := r.putIf(t, at, body, header, value)
		if status != want {
			t.Errorf("%s: %s: %d, want %d", header, value, status, want)
		}
		if status == http.StatusOK {
			etag = tag
		}
	}
	put(body, "If-Match", "*", 412)
	put(body, "If-Match", `"x"`, 412)
	put(body, "If-Match", `""`, 412)
	put(body, "If-None-Match", "*", 200)
	put(other, "If-None-Match", "*", 412)
	first := etag
	put(other, "If-Match", etag, 200)
	put(body, "If-Match", first, 412)
	put(body, "If-Match", strings.Trim(etag, `"`), 412)
	put(body, "If-Match", "*", 200)
	if etag != first {
		t.Errorf("the same files have the tags %s and %s", first, etag)
	}
	put(other, "X-None", "x", 200)
}

// TestFullOfDrafts makes one draft more than a project may have.
func TestFullOfDrafts(t *testing.T) {
	r := newRig(t)
	c := r.client(t, "own "+RoleAuthor)
	var work sync.WaitGroup
	for i := range store.MostDrafts {
		work.Go(func() {
			if _, err := r.store.SetDraft(t.Context(), store.Draft{Project: "own", Name: fmt.Sprint(i), Manifest: []byte("{}"), Tag: "x"}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	d := r.draftOfText(t, c, "t.yaml", "x")
	if _, err := c.SetDraft(t.Context(), "own", "one more", "", d); !codeIs(err, run.CodeInvalidRequest) || !strings.Contains(err.Error(), "the project own has 1000 drafts, which is the most") {
		t.Errorf("%v", err)
	}
	if _, err := c.SetDraft(t.Context(), "own", "0", "", d); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}

// TestWrongDrafts sends what can't be a draft.
func TestWrongDrafts(t *testing.T) {
	r := newRig(t)
	c := r.client(t, "own "+RoleAuthor)
	for _, name := range []string{"live", ".", "..", "../a", "/a", "a//b", "a/", "a\\b", "a\nb", "\u202ea", strings.Repeat("a", 513)} {
		if _, err := c.SetDraft(t.Context(), "own", name, "", r.draftOfText(t, c, "t.yaml", "x")); !codeIs(err, run.CodeInvalidRequest) && !codeIs(err, run.CodeNoSuchThing) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, c2 := range map[string]struct {
		change func(d *api.SetDraft)
		want   string
	}{
		"definition": {func(d *api.SetDraft) { d.Definition = "other.yaml" }, `"other.yaml" is not among the files`},
		"leaves":     {func(d *api.SetDraft) { d.Files[0].Path = "../t.yaml" }, `"../t.yaml" is not a path of a file in a folder`},
		"absolute":   {func(d *api.SetDraft) { d.Files[0].Path = "/t.yaml" }, `"/t.yaml" is not a path of a file in a folder`},
		"not sent":   {func(d *api.SetDraft) { d.Files[0].Digest = digestOfText("never") }, "was not sent"},
		"size":       {func(d *api.SetDraft) { d.Files[0].Size = 5 }, `"t.yaml" has 1 bytes, not 5`},
		"large":      {func(d *api.SetDraft) { d.Files[0].Size = api.MostBundleBytes + 1 }, "the files are larger than 256 MiB together"},
		"twice":      {func(d *api.SetDraft) { d.Files = append(d.Files, d.Files[0]) }, `the file "t.yaml" can't be made: another file has its name`},
		"a folder": {func(d *api.SetDraft) {
			d.Files = append(d.Files, api.File{Path: "t.yaml/a", Digest: d.Files[0].Digest, Size: 1})
		}, `the file "t.yaml" can't be made: another file has its name`},
		"deep": {func(d *api.SetDraft) { d.Files[0].Path = strings.Repeat("a/", 33) + "t" }, "is in more than 32 folders"},
	} {
		t.Run(name, func(t *testing.T) {
			d := r.draftOfText(t, c, "t.yaml", "x")
			c2.change(d)
			if _, err := c.SetDraft(t.Context(), "own", "d", "", d); !codeIs(err, run.CodeInvalidInput) || !strings.Contains(err.Error(), c2.want) {
				t.Errorf("%v, want %s", err, c2.want)
			}
		})
	}
}

// TestDraftsKeepContents has the archive swept: what a draft names stays, and goes when the draft is gone.
func TestDraftsKeepContents(t *testing.T) {
	r := newRig(t)
	c := r.client(t, "own "+RoleAuthor)
	d := r.draftOfText(t, c, "t.yaml", "kept by a draft")
	if _, err := c.SetDraft(t.Context(), "own", "d", "", d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if err := r.sweepContents(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		name, err := archive.ContentName(d.Files[0].Digest)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.archive.In.Stat(t.Context(), name); err == nil != want {
			t.Errorf("want it there: %v, %v", want, err)
		}
		if want {
			if err := c.DeleteDraft(t.Context(), "own", "d", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestFollowDrafts follows the list while drafts are made and removed.
func TestFollowDrafts(t *testing.T) {
	r := newRigWith(t, Options{Poll: time.Millisecond})
	c := r.client(t, "own "+RoleAuthor)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/v1/projects/own/drafts/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.tokens["own "+RoleViewer])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func(want string) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if !strings.Contains(data, want) {
					t.Errorf("got %s, want %s", data, want)
				}
				return
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
	}
	next(`{"drafts":[]}`)
	if _, err := c.SetDraft(t.Context(), "own", "d", "", r.draftOfText(t, c, "t.yaml", "x")); err != nil {
		t.Fatal(err)
	}
	next(`{"drafts":[{"draft":"d",`)
	if err := c.DeleteDraft(t.Context(), "own", "d", ""); err != nil {
		t.Fatal(err)
	}
	next(`{"drafts":[]}`)
}
