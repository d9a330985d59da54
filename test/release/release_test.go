//go:build linux

package release

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/cli"
	"github.com/mayfly-run/mayfly/internal/daemon"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// folderEnv names the folder of a release that make release wrote. Without it the test writes a release for this machine's
// architecture, whose Debian package is not compressed.
const folderEnv = "MAYFLY_TEST_RELEASE"

const sample = "v0.1.0-rc.1"

func folder(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(folderEnv); dir != "" {
		return dir
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), filepath.Join(testbed.Root(), "release", "build.sh"), dir, runtime.GOARCH)
	cmd.Env = append(clean(), "VERSION="+sample, "DEB_COMPRESSION=none")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// clean returns the environment without the variables that an outer make passes to inner ones.
func clean() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "MAKE") || name == "MFLAGS"
	})
}

// TestRelease checks every file of a release, as users get it.
func TestRelease(t *testing.T) {
	dir := folder(t)
	files := checkSums(t, dir)
	tarballs := 0
	for _, name := range files {
		base, found := strings.CutSuffix(name, ".tar.gz")
		if !found {
			continue
		}
		tarballs++
		arch := base[strings.LastIndex(base, "-")+1:]
		t.Run(arch, func(t *testing.T) {
			root := filepath.Join(unpack(t, filepath.Join(dir, name)), base)
			for _, program := range programs {
				isStatic(t, filepath.Join(root, "bin", program))
			}
			checkManuals(t, filepath.Join(root, "share"))
			checkPages(t, filepath.Join(root, "bin", "mayflyd"))
			checkSBOM(t, filepath.Join(root, "sbom.cdx.json"), arch)
			checkLicenses(t, filepath.Join(root, "THIRD-PARTY-LICENSES"))
			checkDebian(t, dir, files, arch)
			if arch == runtime.GOARCH {
				checkVersions(t, filepath.Join(root, "bin"), base)
			}
		})
	}
	if len(files) != 3*tarballs || tarballs == 0 {
		t.Errorf("the release is %v, want a tarball, a package and an SBOM for each architecture", files)
	}
}

// checkSums compares SHA256SUMS with the files, and returns the names of the files that it lists.
func checkSums(t *testing.T, dir string) []string {
	t.Helper()
	sums, err := os.Open(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	defer sums.Close()
	var names []string
	for lines := bufio.NewScanner(sums); lines.Scan(); {
		want, name, _ := strings.Cut(lines.Text(), "  ")
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
			t.Errorf("the checksum of %s is wrong", name)
		}
		names = append(names, name)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(names)+1 {
		t.Errorf("SHA256SUMS has %d files, the folder %d", len(names), len(entries)-1)
	}
	return names
}

// unpack unpacks a tarball, and checks that all files belong to root and have the same time. It returns the folder.
func unpack(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	times := map[int64]bool{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		times[h.ModTime.Unix()] = true
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Mode&0o022 != 0 {
			t.Errorf("%s is %d:%d (%q), mode %o", h.Name, h.Uid, h.Gid, h.Uname, h.Mode)
		}
		to := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.Mkdir(to, 0o755)
		} else {
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(to, data, h.FileInfo().Mode())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(times) != 1 {
		t.Errorf("its files have %d different times, want 1", len(times))
	}
	return dir
}

func checkVersions(t *testing.T, bin, base string) {
	t.Helper()
	version := strings.TrimSuffix(strings.TrimPrefix(base, "mayfly-"), "-linux-"+runtime.GOARCH)
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "mayfly"), "version", "--all").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, line := range lines {
		if f := strings.Fields(line); len(f) != 4 || strings.TrimPrefix(f[1], "v") != version || filepath.Join(bin, f[0]) != f[3] {
			t.Errorf("mayfly version --all says %q", line)
		}
	}
	if len(lines) != len(programs) {
		t.Errorf("mayfly version --all says %q", out)
	}
}

// checkPages checks that the server has the pages, and not only the one that says that they aren't built.
func checkPages(t *testing.T, server string) {
	t.Helper()
	program, err := os.ReadFile(server)
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	dist := os.DirFS(filepath.Join(testbed.Root(), "web", "dist"))
	err = fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := fs.ReadFile(dist, name)
		if !bytes.Contains(program, data) {
			t.Errorf("the server doesn't have %s of the pages", name)
		}
		return err
	})
	if _, missing := fs.Stat(dist, "index.html"); err != nil || missing != nil || files < 20 {
		t.Errorf("the pages are %d files: %v, %v", files, err, missing)
	}
}

// checkManuals checks that each command has a man page, and that the shells can parse the completions.
func checkManuals(t *testing.T, share string) {
	t.Helper()
	pages := 0
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" {
			return
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-")
		page, err := os.ReadFile(filepath.Join(share, "man/man1", name+".1"))
		if err != nil || !strings.Contains(string(page), ".SH SYNOPSIS") {
			t.Errorf("the man page of %s: %v\n%.200s", c.CommandPath(), err, page)
		}
		pages++
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(cli.Command())
	visit(daemon.Command())
	if all, err := filepath.Glob(filepath.Join(share, "man/man1/*")); err != nil || len(all) != pages || pages < 20 {
		t.Errorf("%d man pages for %d commands, %v", len(all), pages, err)
	}
	for shell, name := range map[string]string{
		"bash": "bash-completion/completions/mayfly", "zsh": "zsh/site-functions/_mayfly", "fish": "fish/vendor_completions.d/mayfly.fish",
	} {
		path := filepath.Join(share, name)
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("the completion for %s: %v", shell, err)
		}
		program, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s isn't installed: its completion isn't parsed", shell) // bash is always installed: the Makefile needs it
			continue
		}
		if out, err := exec.CommandContext(t.Context(), program, "-n", path).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s -n %s: %v\n%s", shell, path, err, out)
		}
	}
}

func checkSBOM(t *testing.T, path, arch string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var sbom struct {
		Format     string `json:"bomFormat"`
		Components []struct {
			Ref     string `json:"bom-ref"`
			Version string `json:"version"`
		} `json:"components"`
		Dependencies []struct {
			Ref string   `json:"ref"`
			On  []string `json:"dependsOn"`
		} `json:"dependencies"`
	}
	if err := json.Unmarshal(data, &sbom); err != nil || sbom.Format != "CycloneDX" {
		t.Fatalf("%v: it is %q", err, sbom.Format)
	}
	refs := map[string]bool{}
	for _, c := range sbom.Components {
		if refs[c.Ref] || c.Version == "" {
			t.Errorf("%s is listed twice or has no version", c.Ref)
		}
		refs[c.Ref] = true
	}
	on := map[string]string{}
	for _, d := range sbom.Dependencies {
		on[d.Ref] = strings.Join(d.On, "\n")
		for _, ref := range d.On {
			if !refs[ref] {
				t.Errorf("%s depends on %s, which is not a component", d.Ref, ref)
			}
		}
	}
	for program, want := range map[string]string{
		"mayfly": "mayflyd", "mayfly-command": "pkg:golang/github.com/spf13/cobra@", "mayfly-cel": "pkg:golang/cel.dev/cel-go@",
		"mayfly-shim": "pkg:deb/debian/libseccomp-dev@", "mayflyd": "pkg:npm/svelte@5",
	} {
		if !strings.Contains(on[program], want) {
			t.Errorf("%s doesn't depend on %s:\n%s", program, want, on[program])
		}
	}
	if !strings.Contains(on["mayfly-shim"], "?arch="+arch) {
		t.Errorf("mayfly-shim depends on no library for %s", arch)
	}
}

func checkLicenses(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"std@1", "github.com/spf13/cobra@", "github.com/opencontainers/runc@", "cel.dev/cel-go@", "Debian package libseccomp-dev", "npm package svelte@5"} {
		if !strings.Contains(string(text), "==== "+name) {
			t.Errorf("no license of %s", name)
		}
	}
}

func checkDebian(t *testing.T, dir string, files []string, arch string) {
	t.Helper()
	i := slices.IndexFunc(files, func(name string) bool { return strings.HasSuffix(name, "_"+arch+".deb") })
	if i < 0 {
		t.Fatalf("no package for %s in %v", arch, files)
	}
	path := filepath.Join(dir, files[i])
	dpkg := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "dpkg-deb", args...).Output()
		if err != nil {
			t.Fatalf("dpkg-deb %v: %v", args, err)
		}
		return string(out)
	}
	if fields := strings.Fields(dpkg("--show", "--showformat=${Package} ${Version} ${Architecture}", path)); len(fields) != 3 ||
		files[i] != strings.Join(fields, "_")+".deb" {
		t.Errorf("%s is %v", files[i], fields)
	}
	content := dpkg("--contents", path)
	for _, want := range []string{
		"-rwxr-xr-x root/root BYTES usr/bin/mayfly", "-rwxr-xr-x root/root BYTES usr/bin/mayflyd",
		"-rwxr-xr-x root/root BYTES usr/bin/mayfly-shim", "-rwxr-xr-x root/root BYTES usr/bin/mayfly-cel",
		"-rw-r--r-- root/root BYTES usr/share/man/man1/mayfly-run.1.gz",
		"-rw-r--r-- root/root BYTES usr/lib/systemd/system/mayfly-server.service",
		"-rw-r--r-- root/root BYTES usr/lib/systemd/system/mayfly-runner.service",
		"-rw-r--r-- root/root BYTES usr/share/bash-completion/completions/mayfly",
		"-rw-r--r-- root/root BYTES usr/share/zsh/vendor-completions/_mayfly",
		"-rw-r--r-- root/root BYTES usr/share/fish/vendor_completions.d/mayfly.fish",
		"-rw-r--r-- root/root BYTES usr/share/doc/mayfly/copyright",
	} {
		mode, name, _ := strings.Cut(want, " root/root BYTES ")
		if !slices.ContainsFunc(strings.Split(content, "\n"), func(line string) bool {
			f := strings.Fields(line)
			return len(f) == 6 && f[0] == mode && f[1] == "root/root" && f[5] == "./"+name
		}) {
			t.Errorf("%s has no %s with mode %s:\n%s", files[i], name, mode, content)
		}
	}
}

// TestReproducible checks that two folders with the same sources give the same programs. With MAYFLY_TEST_FULL both are
// compiled from the beginning, each with its own cache.
func TestReproducible(t *testing.T) {
	names := []string{"mayfly", "mayfly-cel", "mayflyd"}
	if os.Getenv("MAYFLY_TEST_FULL") != "" {
		names = programs
	}
	var sums [2]map[string][32]byte
	for i := range sums {
		root := filepath.Join(t.TempDir(), "sources")
		copySources(t, root)
		cmd := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-C", root, "build-go", "VERSION="+sample)
		cmd.Env = clean()
		if os.Getenv("MAYFLY_TEST_FULL") != "" {
			cmd.Args[4] = "build"
			cmd.Env = append(cmd.Env, "GOCACHE="+t.TempDir())
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		sums[i] = map[string][32]byte{}
		for _, name := range names {
			data, err := os.ReadFile(filepath.Join(root, "bin", name))
			if err != nil {
				t.Fatal(err)
			}
			sums[i][name] = sha256.Sum256(data)
		}
	}
	for _, name := range names {
		if sums[0][name] != sums[1][name] {
			t.Errorf("%s differs between two builds", name)
		}
	}
}

// copySources copies the files that the build reads to a new folder. Of the pages these are the sources, from which make build makes them.
func copySources(t *testing.T, to string) {
	t.Helper()
	names := []string{"go.mod", "go.sum", "Makefile", "cmd", "internal", "web/.npmrc", "web/dist/placeholder.html"}
	pages, err := os.ReadDir(filepath.Join(testbed.Root(), "web"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range pages {
		if name := entry.Name(); name != "node_modules" && name != "dist" && name != "test" && !strings.HasPrefix(name, ".") {
			names = append(names, filepath.Join("web", name))
		}
	}
	for _, name := range names {
		from, to := filepath.Join(testbed.Root(), name), filepath.Join(to, name)
		if info, err := os.Stat(from); err == nil && info.IsDir() {
			if err := os.CopyFS(to, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		data, err := os.ReadFile(from)
		if err = errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}
