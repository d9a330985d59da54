//go:build linux

package security

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// The tests in this file run the whole program on rows of docs/SECURITY.md that packages image, secret and tool test in depth.

// loadInto loads an image with one layer into a new store with small limits.
func loadInto(t *testing.T, layer []byte) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	store, err := image.Open(dir, image.Options{NoSync: true, Limits: image.Limits{LayerBytes: 64 << 20, LayerEntries: 10_000}})
	if err != nil {
		t.Fatal(err)
	}
	archive := imagetest.DockerArchive(t, "test.invalid/hostile:1", imagetest.Config{}, layer)
	_, err = store.Load(t.Context(), bytes.NewReader(archive))
	return dir, err
}

func diskBytes(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestM01_LayersStayInTheirFolder checks that names and links that lead out of the layer are refused.
func TestM01_LayersStayInTheirFolder(t *testing.T) {
	c := newCanary(t)
	up := strings.Repeat("../", 20) + c.path[1:]
	for name, files := range map[string][]imagetest.File{
		"up":                {{Name: up, Body: "attack"}},
		"hard link":         {{Name: "f", Type: tar.TypeLink, Link: c.path}},
		"link, then write":  {link("d", c.dir), {Name: "d/canary", Body: "attack"}},
		"up link and write": {link("d", strings.Repeat("../", 20)+c.dir[1:]), {Name: "d/canary", Body: "attack"}},
	} {
		if _, err := loadInto(t, imagetest.Tar(t, files...)); err == nil {
			t.Errorf("%s: it was loaded", name)
		}
		c.unchanged()
	}
	// An absolute path is relative to the layer's root.
	for _, files := range [][]imagetest.File{
		{{Name: c.path, Body: "attack"}},
		{{Name: "f", Type: tar.TypeLink, Link: c.path}, {Name: "f", Body: "attack"}}, // the file replaces the link before it would be made
	} {
		if _, err := loadInto(t, imagetest.Tar(t, files...)); err != nil {
			t.Error(err)
		}
		c.unchanged()
	}
}

// TestM02_DevicesAndOverlayAttributesAreDropped checks that an unpacked layer has neither devices nor extended attributes.
func TestM02_DevicesAndOverlayAttributesAreDropped(t *testing.T) {
	dir, err := loadInto(t, imagetest.Tar(t,
		imagetest.File{Name: "disk", Type: tar.TypeBlock}, imagetest.File{Name: "mem", Type: tar.TypeChar},
		imagetest.File{Name: "d/", Xattrs: map[string]string{"trusted.overlay.opaque": "y", "trusted.overlay.redirect": "/etc", "user.overlay.opaque": "y"}},
		imagetest.File{Name: "f", Body: "x", Xattrs: map[string]string{"trusted.overlay.metacopy": "", "security.capability": fileCapabilities}}))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		seen++
		if d.Type()&os.ModeDevice != 0 {
			t.Errorf("there is the device %s", p)
		}
		for _, x := range imagetest.Xattrs(t, p) {
			t.Errorf("%s has %s", p, x)
		}
		return nil
	})
	if err != nil || seen < 5 {
		t.Errorf("%d files, %v", seen, err)
	}
}

// TestM03_BombsStopAtTheBudget loads layers that are far larger than they are compressed, and one with many entries.
func TestM03_BombsStopAtTheBudget(t *testing.T) {
	large := imagetest.Tar(t, imagetest.File{Name: "zeros", Body: strings.Repeat("\x00", 160<<20)})
	many := make([]imagetest.File, 20_000)
	for i := range many {
		many[i].Name = fmt.Sprint("f", i)
	}
	for name, layer := range map[string][]byte{"gzip": imagetest.Gzip(t, large), "zstd": imagetest.Zstd(t, large), "entries": imagetest.Tar(t, many...)} {
		dir, err := loadInto(t, layer)
		if err == nil {
			t.Errorf("%s: it was loaded", name)
		}
		if n := diskBytes(t, dir); n > 8<<20 {
			t.Errorf("%s: it left %d bytes", name, n)
		}
	}
}

// TestM04_RegistriesThatLie serves another layer of the same size, a layer without end and one that is cut off, and checks
// that nothing of them is stored.
func TestM04_RegistriesThatLie(t *testing.T) {
	layer := imagetest.Tar(t, imagetest.File{Name: "f", Body: strings.Repeat("0123456789", 10_000)})
	other := imagetest.Tar(t, imagetest.File{Name: "f", Body: strings.Repeat("9876543210", 10_000)})
	for name, body := range map[string]func(http.ResponseWriter){
		"other bytes": func(w http.ResponseWriter) { _, _ = w.Write(other) },
		"cut off":     func(w http.ResponseWriter) { _, _ = w.Write(layer[:len(layer)/2]) },
		"endless": func(w http.ResponseWriter) {
			for block := bytes.Repeat([]byte("x"), 1<<20); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		},
	} {
		r := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, imagetest.Digest(layer).String()) {
				body(w)
				return
			}
			next.ServeHTTP(w, r)
		})
		imagetest.Push(t, r.Host+"/app:1", imagetest.Config{}, layer)
		c := &cli{t: t, canary: newCanary(t), home: t.TempDir(), tools: t.TempDir()}
		c.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "MAYFLY_HOME=" + c.home}
		d := c.mayfly("image", "pull", r.Host+"/app:1") // killed after testbed.Patience, it has no status
		if d.code <= 0 || d.stderr == "" {
			t.Errorf("%s: %+v", name, d)
		}
		if n := diskBytes(t, c.home); n > 1<<20 {
			t.Errorf("%s: %d bytes are stored", name, n)
		}
	}
}

// TestM05_CredentialsStayWithTheirRegistry checks a registry that sends the client to another host, for a token and for a
// layer: that host must not get the credentials.
func TestM05_CredentialsStayWithTheirRegistry(t *testing.T) {
	password := "PASSWORD-OF-THE-REGISTRY"
	auth := base64.StdEncoding.EncodeToString([]byte("user:" + password))
	asked := make(chan string, 100)
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- fmt.Sprint(r.Header, r.URL, r.Body)
		fmt.Fprint(w, `{"token": "t"}`)
	}))
	defer stranger.Close()
	elsewhere := strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1)
	sent := false
	r := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		sent = sent || r.Header.Get("Authorization") == "Basic "+auth
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+elsewhere+`/token",service="x"`)
		if sent {
			http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		http.Error(w, "", http.StatusUnauthorized)
	})
	// The settings allow the redirect, which must go without credentials.
	c := newPuller(t, `{"registries": {"`+r.Host+`": {"redirect_hosts": [localhost]}}}`)
	config := filepath.Join(c.home, ".docker", "config.json")
	for _, err := range []error{os.MkdirAll(filepath.Dir(config), 0o700), os.WriteFile(config, []byte(`{"auths": {"`+r.Host+`": {"auth": "`+auth+`"}}}`), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d := c.mayfly("image", "pull", r.Host+"/app:1")
	if d.code == 0 || strings.Contains(d.stdout+d.stderr, password) || strings.Contains(d.stdout+d.stderr, auth) {
		t.Errorf("%+v", d)
	}
	for len(asked) > 0 {
		if got := <-asked; strings.Contains(got, auth) || strings.Contains(got, password) || strings.Contains(got, "Basic") {
			t.Errorf("the other host was told %s", got)
		}
	}
}

// TestS02_PrintedSecretsAreMasked prints a secret in each encoding, and in writes of one byte, through the whole program.
func TestS02_PrintedSecretsAreMasked(t *testing.T) {
	c := newCLI(t)
	const value = "s3cret+v4lue/with=signs&\"quotes\""
	given := filepath.Join(c.home, "given")
	if err := os.WriteFile(given, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
	path := c.tool("print", `
volumes: [{name: token, secret: token}]
script: |
  s=$(cat /secrets/token)
  echo "plain $s"; echo "$s" >&2
  printf %s "$s" | base64; printf %s "x$s" | base64; printf %s "xy$s" | base64
  printf %s "$s" | xxd -p | tr -d '\n'; echo
  i=0; while [ $i -lt 40 ]; do printf %s "$s" | dd bs=1 count=1 skip=$i 2>/dev/null; i=$((i+1)); done; echo
  echo "A=$s" > $MAYFLY_OUTPUT
  echo ended
`)
	for _, flags := range [][]string{{"--quiet"}, {"--json"}, {}} {
		d := c.mayfly(append([]string{"run", path, "--secret", "token=file:" + given}, flags...)...)
		text := d.stdout + d.stderr
		if d.code != 0 || !strings.Contains(text, "***") || !strings.Contains(text, "ended") {
			t.Errorf("%v: %+v", flags, d)
		}
		for offset := range 3 {
			// The complete groups of four characters that depend only on the secret.
			encoded := base64.StdEncoding.EncodeToString([]byte("xy"[:offset] + value))[4:36]
			if strings.Contains(text, encoded) {
				t.Errorf("%v: it shows base64 at offset %d: %s", flags, offset, text)
			}
		}
		for name, form := range map[string]string{"plain": value, "in JSON": `s3cret+v4lue/with=signs&\"quotes\"`, "in part": value[:16], "hex": fmt.Sprintf("%x", value)} {
			if strings.Contains(text, form) {
				t.Errorf("%v: it shows the secret %s: %s", flags, name, text)
			}
		}
	}
}

// TestS02_StructuresAreMaskedByTheirLeaves prints the secret values of a kubeconfig and of a service account as tools do, and
// texts that look like the rest of them, which must not be masked.
func TestS02_StructuresAreMaskedByTheirLeaves(t *testing.T) {
	c := newCLI(t)
	const line1, line2 = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
	given := map[string]string{
		"account": "{\n  \"type\": \"service_account\",\n  \"private_key\": \"-----BEGIN PRIVATE KEY-----\\n" + line1 + "\\n" + line2 + "\\n-----END PRIVATE KEY-----\\n\"\n}\n",
		"config":  "apiVersion: v1\nkind: Config\ncontexts:\n- context:\n    cluster: kubernetes\n    namespace: default\nusers:\n- name: ci\n  user:\n    token: sha256~AbCdEf0123456789\n    auth: " + base64.StdEncoding.EncodeToString([]byte("ci:sw0rdf1sh-9")) + "\n",
		"quote":   `tw0'qu0tes "of" 1t`,
	}
	flags := []string{"--quiet"}
	for name, value := range given {
		file := filepath.Join(c.home, name)
		if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		flags = append(flags, "--secret", name+"=file:"+file)
	}
	path := c.tool("leaves", `
volumes: [{name: account, secret: account}, {name: config, secret: config}, {name: quote, secret: quote}]
script: |
  sed -n 's/.*"private_key": "\(.*\)"/\1/p' /secrets/account | sed 's/\\n/\n/g'
  sed -n 's/.*token: /Bearer /p; s/.*auth: //p' /secrets/config; sed -n 's/.*auth: //p' /secrets/config | base64 -d; echo
  base64 /secrets/config | base64
  q=$(cat /secrets/quote); (set -x; : "$q") 2>&1; printf %s "$q" | xxd
  echo "kind: Config"; echo "    cluster: kubernetes"; echo "    namespace: default"; echo "type service_account of ci"
`)
	d := c.mayfly(append([]string{"run", path}, flags...)...)
	text := d.stdout + d.stderr
	if d.code != 0 {
		t.Fatalf("%+v", d)
	}
	for _, hidden := range []string{line1, line2, "AbCdEf01", "sw0rdf1sh", base64.StdEncoding.EncodeToString([]byte("ci:sw0rdf1sh-9")), "qu0tes", "7475 30", "7477 3027"} {
		if strings.Contains(text, hidden) {
			t.Errorf("it shows %q: %s", hidden, text)
		}
	}
	if shown := "kind: Config\n    cluster: kubernetes\n    namespace: default\ntype service_account of ci\n"; !strings.HasSuffix(d.stdout, shown) {
		t.Errorf("its end isn't %q: %s", shown, text)
	}
}

// TestS05_YAMLBombs gives the whole program definitions that would grow, and bounds its processor time and memory.
func TestS05_YAMLBombs(t *testing.T) {
	c := &cli{t: t, canary: newCanary(t), home: t.TempDir(), tools: t.TempDir()}
	c.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "MAYFLY_HOME=" + c.home}
	version := c.command("version")
	version.Args = append([]string{"busybox", "time", "-v"}, version.Args...)
	version.Path = "/bin/busybox"
	out, err := version.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program := resident(t, out) // the memory of the program itself
	// The bound on processor time is relative to a harmless definition of about the largest size on this machine.
	harmless := c.command("validate", c.tool("harmless", "script: |\n"+strings.Repeat("  a, b: [c] - {d}\n", 55_000)))
	if out, err := harmless.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	most := 50 * (harmless.ProcessState.UserTime() + harmless.ProcessState.SystemTime())
	bomb := "a0: &a0 [x, x]\n"
	for i := range 30 {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	for name, text := range map[string]string{
		"aliases": bomb, "depth": strings.Repeat("[", 500_000), "blocks": strings.Repeat("- ", 400_000) + "a",
		"twice": "image: x\nimage: y\ncommand: [sh]\n", "itself": "environment: &a [*a]\n", "long": strings.Repeat("k", 1_000_000) + ": 1\n",
		"too large": strings.Repeat("#", 8<<20),
	} {
		path := c.tool("bomb", text)
		for _, verb := range []string{"validate", "run"} {
			// A child of this large process would inherit its peak memory (getrusage(2)). A child of busybox doesn't.
			cmd := c.command(verb, path)
			cmd.Args = append([]string{"busybox", "time", "-v"}, cmd.Args...)
			cmd.Path = "/bin/busybox"
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() == 0 {
				t.Errorf("%s %s: %v: %.300s", verb, name, err, out)
				continue
			}
			usage := exit.SysUsage().(*syscall.Rusage)
			more := resident(t, out) - program
			if more > 64<<10 || len(out) > 64<<10 {
				t.Errorf("%s %s: %d KiB, said %d bytes", verb, name, more, len(out))
			}
			if d := time.Duration(usage.Utime.Nano() + usage.Stime.Nano()); d > most {
				t.Errorf("%s %s: it took %v of the processor, more than %v", verb, name, d, most)
			}
		}
	}
}

// resident returns the peak memory in KiB that time -v reports.
func resident(t *testing.T, out []byte) (n int64) {
	t.Helper()
	_, rest, _ := strings.Cut(string(out), "Maximum resident set size (kbytes): ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return n
}
