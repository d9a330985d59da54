//go:build unix

package ownership_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/ownership"
	"github.com/mayfly-run/mayfly/internal/suite"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
	"golang.org/x/sys/unix"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("run this test as root: it changes the owners of files")
	}
}

// TestFoundAbove makes a project in which a search finds a tool in a folder above, makes one change that another user could have made,
// and checks whether the tool is refused.
func TestFoundAbove(t *testing.T) {
	needRoot(t)
	const other = 4242
	chown := func(path string, uid, gid int) func(string) error {
		return func(dir string) error { return os.Lchown(filepath.Join(dir, path), uid, gid) }
	}
	chmod := func(path string, mode os.FileMode) func(string) error {
		return func(dir string) error { return os.Chmod(filepath.Join(dir, path), mode) }
	}
	link := func(path, target string, uid int) func(string) error {
		return func(dir string) error {
			path := filepath.Join(dir, path)
			if err := os.Rename(path, filepath.Join(dir, target)); err != nil {
				return err
			}
			if err := os.Symlink(filepath.Join(dir, target), path); err != nil {
				return err
			}
			return os.Lchown(path, uid, uid)
		}
	}
	for _, c := range []struct {
		name   string
		change func(dir string) error
		at     string // the path that isn't trusted
		text   string // a part of the error
	}{
		{"nothing", func(string) error { return nil }, "", ""},
		{"the file belongs to another", chown("tools/x/tool.yaml", other, 0), "tools/x/tool.yaml", "tools/x/tool.yaml belongs to uid 4242"},
		{"its folder belongs to another", chown("tools/x", other, 0), "tools/x", ""},
		{"the folder of tools belongs to another", chown("tools", other, 0), "tools", ""},
		{"the folder above belongs to another", chown("", other, 0), "", "belongs to uid 4242"},
		{"others can write to the file", chmod("tools/x/tool.yaml", 0o646), "tools/x/tool.yaml", "others can write to"},
		{"others can write to its folder", chmod("tools/x", 0o757), "tools/x", ""},
		{"others can write to the folder of tools", chmod("tools", 0o757), "tools", ""},
		{"others can write to the folder above, sticky", chmod("", 0o777|os.ModeSticky), "", "others can write to"},
		{"a group can write to the folder of tools", func(dir string) error {
			return errors.Join(chown("tools", 0, 27)(dir), chmod("tools", 0o775)(dir))
		}, "tools", "others can write to"},
		{"the owner's own group can write to the folder of tools", chmod("tools", 0o775), "", ""},
		{"the script belongs to another", chown("tools/x/x.sh", other, 0), "tools/x/x.sh", ""},
		{"a file in a mounted folder belongs to another", chown("tools/x/data/deep/f", other, 0), "tools/x/data/deep/f", ""},
		{"a file behind a mounted link belongs to another", func(dir string) error {
			return errors.Join(link("tools/x/data", "tools/x/real", 0)(dir), chown("tools/x/real/deep/f", other, 0)(dir))
		}, "tools/x/real/deep/f", ""},
		{"a link belongs to another", link("tools/x", "elsewhere", other), "tools/x", ""},
		{"a link belongs to the user", link("tools/x", "elsewhere", 0), "", ""},
		{"the target of a link belongs to another", func(dir string) error {
			return errors.Join(link("tools/x/tool.yaml", "elsewhere.yaml", 0)(dir), chown("elsewhere.yaml", other, 0)(dir))
		}, "elsewhere.yaml", ""},
		{"a link on the way belongs to another", func(dir string) error {
			second := filepath.Join(dir, "second")
			return errors.Join(link("tools/x/tool.yaml", "real.yaml", 0)(dir), os.Symlink("real.yaml", second), os.Lchown(second, other, 0),
				os.Remove(filepath.Join(dir, "tools/x/tool.yaml")), os.Symlink("../../second", filepath.Join(dir, "tools/x/tool.yaml")))
		}, "second", ""},
		{"a link to itself", func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "tools/x/data")), os.Symlink("data", filepath.Join(dir, "tools/x/data")))
		}, "", "too many links"},
		{"the folder around the project belongs to another", chown("..", other, 0), "..", "belongs to uid 4242"},
		{"others can write to the folder around the project", chmod("..", 0o777), "..", "others can write to"},
		{"others can write to the folder around the project, sticky", chmod("..", 0o777|os.ModeSticky), "", ""},
		{"a group can write to the folder around the project", func(dir string) error {
			return errors.Join(chown("..", 0, 27)(dir), chmod("..", 0o775)(dir))
		}, "", ""},
		{"a folder on the way up belongs to another", chown("below", other, 0), "below", "belongs to uid 4242"},
		{"a folder of tools on the way up belongs to another", func(dir string) error {
			tools := filepath.Join(dir, "below/tools")
			return errors.Join(os.Mkdir(tools, 0o755), os.Chown(tools, other, 0))
		}, "below/tools", "belongs to uid 4242"},
		{"a folder of the tool on the way up belongs to another", func(dir string) error {
			var errs []error
			for _, name := range []string{"x", "flow", "inlined"} {
				of := filepath.Join(dir, "below/tools", name)
				errs = append(errs, os.MkdirAll(of, 0o755), os.Chown(of, other, 0))
			}
			return errors.Join(errs...)
		}, "below/tools/*", "could put one with that name nearer"},
		{"a link leads to a group's folder", func(dir string) error {
			group := filepath.Join(dir, "../group")
			return errors.Join(os.Mkdir(group, 0o755), os.Chown(group, 0, 27), os.Chmod(group, 0o775), link("tools/x/tool.yaml", "../group/real.yaml", 0)(dir))
		}, "../group", "others can write to"},
		{"an access control list lets another user write", func(dir string) error {
			return unix.Setxattr(filepath.Join(dir, "tools/x/tool.yaml"), "system.posix_acl_access", writableBy(other), 0)
		}, "tools/x/tool.yaml", "others can write to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			around, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(around, "project")
			for name, text := range map[string]string{
				"tools/x/tool.yaml":        "image: alpine\nscript: {file: x.sh}\nvolumes: [{name: d, file: data, mount_path: /d}]\n",
				"tools/x/x.sh":             "true\n",
				"tools/x/data/deep/f":      "f\n",
				"below/deeper/flow.yaml":   "workflow: [{name: a, tool: x}]\n",
				"below/deeper/x_test.yaml": "tool: x\ntests: [{name: t}]\n",
				"tools/flow.yaml":          "workflow: [{name: a, tool: ./x/tool.yaml}]\n",
				"tools/inlined.yaml":       "workflow: [{name: a, tool: {image: alpine, volumes: [{name: d, file: x, mount_path: /d}]}}]\n",
				"below/deeper/placeholder": "",
			} {
				file := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			wrong := c.at != "" || c.text != ""
			for way, load := range map[string]func() error{
				"by name": func() error { _, err := definition.LoadNamed(filepath.Join(dir, "below/deeper"), "x"); return err },
				"by name in a workflow": func() error {
					def, err := definition.Load(filepath.Join(dir, "below/deeper/flow.yaml"))
					return errors.Join(err, resolveAll(def))
				},
				"by name in a test": func() error {
					s, err := suite.Load(filepath.Join(dir, "below/deeper/x_test.yaml"))
					if err != nil {
						return err
					}
					_, err = s.LoadTool()
					return err
				},
				"by path in a workflow found by name": func() error {
					def, err := definition.LoadNamed(filepath.Join(dir, "below/deeper"), "flow")
					return errors.Join(err, resolveAll(def))
				},
				"inline in a workflow found by name": func() error {
					def, err := definition.LoadNamed(filepath.Join(dir, "below/deeper"), "inlined")
					return errors.Join(err, resolveAll(def))
				},
			} {
				err := load()
				if c.name == "a link belongs to the user" && way == "inline in a workflow found by name" {
					// Trusted, but a tool's files are inside its folder.
					if err == nil || !strings.Contains(err.Error(), `"x" can't be read: statat x: path escapes from parent`) {
						t.Errorf("%s: %v", way, err)
					}
					continue
				}
				var refused *ownership.UntrustedError
				switch {
				case !wrong && err != nil:
					t.Errorf("%s: %v", way, err)
				case c.at == "" && c.text == "too many links":
					if err == nil || !strings.Contains(err.Error(), c.text) {
						t.Errorf("%s: %v", way, err)
					}
				case wrong && !errors.As(err, &refused):
					t.Errorf("%s: got %v, want an UntrustedError", way, err)
				case wrong && (!matches(filepath.Join(dir, c.at), refused.Path) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), "give its path: "+refused.File)):
					t.Errorf("%s: %v", way, err)
				}
			}
			// If the search begins in the project's folder, the folders below aren't checked. By its path, the user has chosen
			// the tool, so nothing is checked.
			here := wrong && !strings.HasPrefix(c.at, "below") && c.text != "too many links"
			var refused *ownership.UntrustedError
			if _, err := definition.LoadNamed(dir, "x"); errors.As(err, &refused) != here {
				t.Error("in the folder itself:", err)
			}
			of := strings.HasSuffix(c.at, "x.sh") || strings.HasSuffix(c.at, "deep/f")
			if err := ownership.CheckBelow(dir, filepath.Join(dir, "tools/x/tool.yaml")); errors.As(err, &refused) != (here && !of) {
				t.Error("found below it:", err)
			}
			if _, err := definition.Load(filepath.Join(dir, "tools/x/tool.yaml")); err != nil {
				t.Error("by its path:", err)
			}
		})
	}
}

// TestNearerToAWorkflowAbove checks the folder of a workflow that a search found above: the tools of the workflow are looked for there
// first, so it is a nearer folder although the user isn't in it.
func TestNearerToAWorkflowAbove(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	below, nearer := filepath.Join(dir, "below"), filepath.Join(dir, "tools/tools")
	if err := errors.Join(
		os.MkdirAll(nearer, 0o755), os.Mkdir(below, 0o755),
		os.WriteFile(filepath.Join(dir, "tools/t.yaml"), []byte("image: alpine\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "tools/flow.yaml"), []byte("workflow: [{name: a, tool: t}]\n"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[int]bool{0: false, 4242: true} {
		if err := os.Chown(nearer, uid, uid); err != nil {
			t.Fatal(err)
		}
		def, err := definition.LoadNamed(below, "flow")
		var refused *ownership.UntrustedError
		if err := errors.Join(err, resolveAll(def)); errors.As(err, &refused) != want || !want && err != nil {
			t.Errorf("owner %d: got %v, want refused: %v", uid, err, want)
		}
	}
}

// TestNearerLinks checks that a link without a target in a nearer folder is refused if another user could make the target.
func TestNearerLinks(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o755: false, 0o777 | os.ModeSticky: true, 0o777: true} {
		dir := t.TempDir()
		elsewhere := t.TempDir()
		if err := errors.Join(
			os.MkdirAll(filepath.Join(dir, "tools"), 0o755), os.WriteFile(filepath.Join(dir, "tools/t.yaml"), []byte("image: alpine\n"), 0o644),
			os.MkdirAll(filepath.Join(dir, "below"), 0o755), os.Chmod(elsewhere, mode),
		); err != nil {
			t.Fatal(err)
		}
		nearer := filepath.Join(dir, "below/tools")
		for how, link := range map[string]func() error{
			"the file": func() error {
				return os.Symlink(filepath.Join(elsewhere, "t.yaml"), filepath.Join(nearer, "t.yaml"))
			},
			"two links, the second relative": func() error {
				return errors.Join(os.Symlink("nothing.yaml", filepath.Join(elsewhere, "own")), os.Symlink(filepath.Join(elsewhere, "own"), filepath.Join(nearer, "t.yaml")))
			},
			"the folder of the file": func() error { return os.Symlink(elsewhere, filepath.Join(nearer, "t")) },
		} {
			if err := errors.Join(os.RemoveAll(nearer), os.Mkdir(nearer, 0o755), link()); err != nil {
				t.Fatal(err)
			}
			_, err := definition.LoadNamed(filepath.Join(dir, "below"), "t")
			var refused *ownership.UntrustedError
			if errors.As(err, &refused) != want || !want && err != nil || want && (!refused.Nearer || refused.Path != elsewhere) {
				t.Errorf("%s, %v: %v", how, mode, err)
			}
		}
	}
}

// TestNamesOfAGivenFile checks that a user who gives the path of a workflow or test trusts the tools that it names, if they belong to
// the owner of that file, to root or to the user.
func TestNamesOfAGivenFile(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		name               string
		given, tools, file int
		refused            bool
	}{
		{"everything belongs to the user", 0, 0, 0, false},
		{"everything belongs to another", 4242, 4242, 4242, false},
		{"another's file, root's tool", 4242, 0, 0, false},
		{"the user's file, another's tool", 0, 0, 4242, true},
		{"the user's file, another's folder of tools", 0, 4242, 0, true},
		{"another's file, a third user's tool", 4242, 4242, 4243, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			flow, tests, script := filepath.Join(dir, "flow.yaml"), filepath.Join(dir, "a_test.yaml"), filepath.Join(dir, "tools/run.sh")
			flowSuite, flows := filepath.Join(dir, "b_test.yaml"), filepath.Join(dir, "workflows/named.yaml")
			for path, text := range map[string]string{
				flowSuite: "workflow: named\ntests: [{name: a}]\n", flows: "workflow: [{name: a, tool: t}]\n",
				flow: "workflow: [{name: a, tool: t}]\n", tests: "tool: t\ntests: [{name: a}]\n",
				filepath.Join(dir, "tools/t.yaml"): "image: alpine\nscript: {file: run.sh}\n", script: "true\n",
			} {
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Chown(flow, c.given, 0), os.Chown(tests, c.given, 0), os.Chown(flowSuite, c.given, 0), os.Chown(flows, c.file, 0), os.Chown(filepath.Join(dir, "tools"), c.tools, 0), os.Chown(script, c.file, 0)); err != nil {
				t.Fatal(err)
			}
			def, err := definition.Load(flow)
			if err != nil {
				t.Fatal(err)
			}
			s, err := suite.Load(tests)
			if err != nil {
				t.Fatal(err)
			}
			_, suiteErr := s.LoadTool()
			s, err = suite.Load(flowSuite)
			if err != nil {
				t.Fatal(err)
			}
			_, flowErr := s.LoadWorkflow()
			for kind, err := range map[string]error{"workflow": def.Workflow.Resolve(), "test": suiteErr, "test of a workflow": flowErr} {
				var refused *ownership.UntrustedError
				if errors.As(err, &refused) != c.refused || !c.refused && err != nil {
					t.Errorf("%s: got %v, want refused: %v", kind, err, c.refused)
				}
			}
		})
	}
}

func resolveAll(def *definition.Definition) error {
	if def == nil {
		return nil
	}
	return def.Workflow.Resolve()
}

// TestSudoIsTheUser checks that the user who became root with sudo is trusted, as in git, and that other users aren't.
func TestSudoIsTheUser(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "tools", "x.yaml")
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.Mkdir(filepath.Join(dir, "below"), 0o755), os.WriteFile(file, []byte("image: alpine\n"), 0o644), os.Chown(file, 4242, 4242)); err != nil {
		t.Fatal(err)
	}
	for uid, refused := range map[int]bool{4242: false, 4243: true} {
		t.Setenv("SUDO_UID", fmt.Sprint(uid))
		var wrong *ownership.UntrustedError
		if _, err := definition.LoadNamed(filepath.Join(dir, "below/deeper"), "x"); errors.As(err, &wrong) != refused {
			t.Errorf("SUDO_UID=%d: got %v, want refused: %v", uid, err, refused)
		}
	}
}

func matches(pattern, path string) bool {
	same, err := filepath.Match(pattern, path)
	return err == nil && same
}

// writableBy returns the access control list user::rw-,user:UID:rw-,group::r--,mask::rw-,other::r-- (linux/posix_acl_xattr.h).
func writableBy(uid uint32) []byte {
	const nobody = 0xffffffff
	out := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 6, nobody}, {2, 6, uid}, {4, 4, nobody}, {0x10, 6, nobody}, {0x20, 4, nobody}} {
		out = binary.LittleEndian.AppendUint16(out, e.tag)
		out = binary.LittleEndian.AppendUint16(out, e.perm)
		out = binary.LittleEndian.AppendUint32(out, e.id)
	}
	return out
}
