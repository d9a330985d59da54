package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/remote"
)

// TestPushed checks that a folder goes whole only if the definition lies in it, and not for being beside it with its name.
func TestPushed(t *testing.T) {
	const text = "image: busybox\ncommand: [\"true\"]\n"
	t.Chdir(t.TempDir())
	for file, data := range map[string]string{
		"tools/backup.yaml": "name: backup\n" + text, "tools/backup/data.txt": "data",
		"whole/tool.yaml": "name: whole\n" + text,
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		dir, arg string
		want     remote.Part
	}{
		{".", "whole", remote.Folder},
		{".", "./whole/", remote.Folder},
		{"whole", ".", remote.Folder},
		{".", "whole/tool.yaml", remote.Own},
		{".", "backup", remote.Own},
		{"tools", "backup", remote.Own},
		{"tools", "backup.yaml", remote.Own},
	} {
		t.Run(c.dir+" "+c.arg, func(t *testing.T) {
			t.Chdir(c.dir)
			all, err := pushed(streams{}, []string{c.arg})
			if err != nil || len(all) != 1 || all[0].what != c.want {
				t.Errorf("got %+v, %v, want %v", all, err, c.want)
			}
		})
	}
}
