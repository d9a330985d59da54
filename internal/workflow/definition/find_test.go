package definition

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	root := t.TempDir()
	write := func(p string) string {
		full := filepath.Join(root, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte("image: a\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return full
	}
	write("tools/outside.yaml")
	write("project/mayfly.yaml")
	top := write("project/tools/deploy/tool.yaml")
	flat := write("project/tools/notify.yaml")
	near := write("project/sub/tools/deploy.yaml")
	sub := filepath.Join(root, "project", "sub")
	for _, tt := range []struct{ dir, name, want string }{
		{sub, "deploy", near},
		{filepath.Join(root, "project"), "deploy", top},
		{sub, "notify", flat},
	} {
		if got, err := Find(tt.dir, tt.name); err != nil || got.File != tt.want {
			t.Errorf("Find(%s, %s) = %q, %v, want %q", tt.dir, tt.name, got.File, err, tt.want)
		}
	}
	_, err := Find(sub, "notfy")
	var missing *NotFoundError
	if !errors.As(err, &missing) || missing.Nearest != "notify" || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	if len(missing.Looked) != 4 || missing.Looked[3] != filepath.Join(root, "project", "tools", "notfy.yaml") {
		t.Errorf("looked in %q", missing.Looked)
	}
	if !strings.HasPrefix(err.Error(), `tool "notfy" is not found; did you mean "notify"?; looked for`+"\n  ") {
		t.Errorf("message is %q", err)
	}
	for _, name := range []string{"outside", "../tools/outside", "", "deploy/tool"} {
		if got, err := Find(sub, name); err == nil {
			t.Errorf("%q: found %s, want an error", name, got.File)
		}
	}
}
