//go:build linux

package security

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestS01_SecretsAreNowhere runs tools with canary secrets, and searches for the secrets in everything that is written or shown
// while they run and afterwards.
func TestS01_SecretsAreNowhere(t *testing.T) {
	c := newCLI(t)
	values := map[string]string{"stored": "STORED" + rand.Text(), "given": "GIVEN" + rand.Text()}
	given := filepath.Join(t.TempDir(), "given") // the only file that may have it
	if err := os.WriteFile(given, []byte(values["given"]), 0o600); err != nil {
		t.Fatal(err)
	}
	set := c.command("secret", "set", "stored")
	set.Stdin = strings.NewReader(values["stored"])
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("secret set: %v: %s", err, out)
	}
	forms := map[string][]byte{}
	for name, value := range values {
		forms[name] = []byte(value)
		forms[name+" in base64"] = []byte(base64.StdEncoding.EncodeToString([]byte(value)))
		forms[name+" in hex"] = []byte(hex.EncodeToString([]byte(value)))
	}
	search := func(where string, data []byte) {
		for name, form := range forms {
			if bytes.Contains(data, form) {
				t.Errorf("%s has secret %s", where, name)
			}
		}
	}
	const definition = `
environment: [STORED=/secrets/stored, GIVEN=/secrets/given]
volumes:
  - {name: file, secret: stored, mount_path: /secrets/file}
script: |
  cat /secrets/file; echo; echo $STORED $GIVEN; echo $STORED | base64; env >&2
  echo "A=$GIVEN" > $MAYFLY_OUTPUT; echo ready; %s
`
	for name, last := range map[string]string{"success": "read x; true", "failure": "read x; exit 3", "crash": "read x; kill -SEGV $$", "unknown": "no-such-command $GIVEN"} {
		path := c.tool("secrets-"+name, fmt.Sprintf(definition, last))
		r := c.startRun(path, "ready", "-i", "--secret", "given=file:"+given)
		if name != "unknown" {
			searchProcesses(t, search, r.cmd.Process.Pid, r.process("shim"), r.process("holder"))
		}
		filesBelow(t, func(path string, data []byte) { search(path+" during "+name, data) }, c.home, c.tools, c.run)
		if err := r.stdin.Close(); err != nil && !errors.Is(err, os.ErrClosed) { // the unknown command has ended
			t.Error(err)
		}
		r.wait()
		search("the events of "+name, []byte(r.log.String()))
	}
	// Every other command that prints something about the tools.
	for _, args := range [][]string{
		{"run", filepath.Join(c.tools, "secrets-success.yaml"), "--dry-run", "--secret", "given=file:" + given},
		{"run", filepath.Join(c.tools, "secrets-failure.yaml"), "--secret", "given=file:" + given},
		{"run", filepath.Join(c.tools, "secrets-failure.yaml"), "--json", "--secret", "given=file:" + given},
		{"run", filepath.Join(c.tools, "secrets-success.yaml"), "--quiet", "--secret", "given=file:" + given},
		{"run", filepath.Join(c.tools, "secrets-success.yaml"), "--pids", "1", "--secret", "given=file:" + given},
		{"secret", "ls"},
		{"image", "ls"},
		{"image", "inspect", cliImage},
		{"doctor"},
	} {
		d := c.mayfly(args...)
		search(fmt.Sprint("mayfly ", args), []byte(d.stdout+d.stderr))
	}
	filesBelow(t, func(path string, data []byte) { search(path, data) }, c.home, c.tools, c.run, "/etc/mayfly")
	// The journal, the kernel's log, and new files in folders such as /tmp and /var/tmp.
	if out, err := exec.Command("journalctl", "--since", "-5min", "--no-pager").Output(); err == nil {
		search("the journal", out)
	}
	if out, err := exec.Command("dmesg").Output(); err == nil {
		search("the kernel's log", out)
	}
	for _, dir := range []string{"/tmp", "/var/tmp", "/var/crash", "/var/lib/systemd/coredump", "/", "/root", "/var/log"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) > 2*time.Minute || info.Size() > 64<<20 {
				continue
			}
			if data, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
				search(filepath.Join(dir, e.Name()), data)
			}
		}
	}
	// Check that the search finds the secret where it is.
	found := false
	filesBelow(t, func(_ string, data []byte) { found = found || bytes.Contains(data, forms["given"]) }, filepath.Dir(given))
	if !found {
		t.Error("the search doesn't find the secret where it is")
	}
}

// searchProcesses searches what other users can see of the processes: arguments, environment, mounts, and the names of open
// files.
func searchProcesses(t *testing.T, search func(string, []byte), pids ...int) {
	t.Helper()
	for _, pid := range pids {
		for _, name := range []string{"cmdline", "environ", "mountinfo", "comm"} {
			path := fmt.Sprintf("/proc/%d/%s", pid, name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			search(path, data)
		}
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil {
				search(fd, []byte(to))
			}
		}
	}
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if data, err := os.ReadFile(path); err == nil {
			search(path, data)
		}
	}
}

// TestS01_SecretFilesAreTheToolsOnly checks the file inside the sandbox: its mode, owner and file system.
func TestS01_SecretFilesAreTheToolsOnly(t *testing.T) {
	c := newCLI(t)
	given := filepath.Join(c.home, "given")
	if err := os.WriteFile(given, []byte("v4lue-of-it"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := c.tool("look", `
security: {user: "1000:1000"}
volumes: [{name: file, secret: given, mount_path: /secrets/file}]
script: |
  stat -c '%a %u:%g' /secrets/file
  grep ' /secrets/file ' /proc/self/mounts | cut -d' ' -f3,4
  (echo x >> /secrets/file) || chmod 777 /secrets/file || rm -f /secrets/file || true
  stat -c '%a' /secrets/file
  true
`)
	d := c.mayfly("run", path, "--quiet", "--secret", "given=file:"+given)
	lines := strings.Split(d.stdout, "\n")
	if len(lines) < 3 || lines[0] != "400 1000:1000" || !strings.HasPrefix(lines[1], "tmpfs ro,") || !strings.Contains(lines[1], "noexec") || lines[2] != "400" {
		t.Errorf("%+v", d)
	}
}
