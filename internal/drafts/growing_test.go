package drafts

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/archive"
)

// growing is an archive before which a file grows whenever something is put there.
type growing struct {
	archive.Storage
	file string
}

func (g growing) Put(ctx context.Context, name string, content io.Reader) error {
	out, err := os.OpenFile(g.file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := out.WriteString("one more line\n"); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return g.Storage.Put(ctx, name, content)
}

// TestGrowing reads a draft beside whose definition a program writes a log.
func TestGrowing(t *testing.T) {
	r := open(t, map[string]string{"a/tool.yaml": plain, "a/out.log": "the first line\n"})
	r.Folder.archive.In = growing{r.archive.In, filepath.Join(r.dir, "a", "out.log")}
	_, files := r.get("a/tool.yaml")
	if files["out.log"] != "the first line\n" && files["out.log"] != "the first line\none more line\n" {
		t.Errorf("the log is %q", files["out.log"])
	}
}
