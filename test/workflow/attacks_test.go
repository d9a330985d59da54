//go:build linux

package workflow

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const canary = "canary-4f1d-correct-horse-battery"

// TestS01_WorkflowsLeaveNoSecret searches everything that a workflow writes for a secret that its steps hand on: the journal,
// events, what is printed, and artifacts of a run that failed.
func TestS01_WorkflowsLeaveNoSecret(t *testing.T) {
	p := newProject(t, `
workflow:
- name: one
  tool:
    image: busybox
    environment: [TOKEN=/secrets/token]
    command: 'echo "PLAIN=$TOKEN" > $MAYFLY_OUTPUT; echo "WITHIN=a $TOKEN b" >> $MAYFLY_OUTPUT; echo "CODED=$(echo -n "$TOKEN" | base64)" >> $MAYFLY_OUTPUT'
  outputs: [PLAIN, WITHIN, CODED]
- name: two
  tool: {image: busybox, command: 'echo "two has $PLAIN and $CODED"; test "$PLAIN" = "$(echo $CODED | base64 -d)" || exit 9; echo "$PLAIN" >&2; exit 3'}
  inputs: {PLAIN: '${one.PLAIN}', CODED: '${one.CODED}'}
- name: three
  tool: {image: busybox, command: "true"}
  condition: ${one.WITHIN} == "x"
`)
	for _, flags := range [][]string{{"run", "flow.yaml", "--json"}, {"run", "flow.yaml"}} {
		c := p.mayfly(append(flags, "--secret", "token=env:CANARY")...)
		c.Env = append(c.Env, "CANARY="+canary)
		out, err := c.CombinedOutput()
		if err == nil || c.ProcessState.ExitCode() != 3 {
			t.Fatalf("%v\n%s", err, out)
		}
		notThere(t, "what was printed", out)
		if !bytes.Contains(out, []byte("two has *** and ***")) {
			t.Errorf("nothing was masked in\n%s", out)
		}
	}
	// The run is resumed without the secret's source. What was handed on is still masked.
	c := p.mayfly("run", "--resume", p.latest(), "--secret", "token=env:HOME")
	out, _ := c.CombinedOutput()
	notThere(t, "what was printed after a resume", out)
	if !bytes.Contains(out, []byte("two has *** and ***")) {
		t.Errorf("after a resume nothing was masked in\n%s", out)
	}
	files := 0
	err := filepath.WalkDir(p.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		files++
		notThere(t, path, data)
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("%d files were searched, %v", files, err)
	}
}

func notThere(t *testing.T, where string, data []byte) {
	t.Helper()
	for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))[:20], hex.EncodeToString([]byte(canary))} {
		if bytes.Contains(data, []byte(form)) {
			t.Errorf("the secret is in %s", where)
		}
	}
}

// TestS03_ValuesOfStepsArriveAsBytes hands on texts that have another meaning in a shell, YAML, CEL or a template.
func TestS03_ValuesOfStepsArriveAsBytes(t *testing.T) {
	texts := []string{
		`'; touch /tmp/owned; '`, `"; touch /tmp/owned; "`, "$(touch /tmp/owned)", "`touch /tmp/owned`", "${make.V0}", "$${make.V0}", "${inputs.x}",
		"a: b\n- c\n{d: [e]}", "#!/bin/sh\ntouch /tmp/owned", "line\r\nline\r\n\ttab", `" || true || "`, `' + "x" + '`, "x\") || success() || (\"x",
		"*** ::set-output name=x::y", "ünïcødé \U0001f600 \u202e", strings.Repeat("long ", 5000), `\n\t\\ \x41 %s %d`, " leading and trailing ", "EOF",
	}
	var flow strings.Builder
	dir := t.TempDir()
	var names []string
	for i := range texts {
		names = append(names, fmt.Sprintf("V%d", i))
	}
	// Step make gets the texts as files, so that nothing can change them before they are handed on.
	fmt.Fprintf(&flow, "workflow:\n- name: make\n  tool:\n    name: make\n    image: busybox\n    volumes: [{name: texts, file: texts, mount_path: /texts}]\n")
	fmt.Fprintf(&flow, "    command: 'cd /texts; for f in *; do printf \"%%s<<X_END_X\\n\" $f; cat $f; printf \"\\nX_END_X\\n\"; done > $MAYFLY_OUTPUT'\n  outputs: [%s]\n", strings.Join(names, ", "))
	fmt.Fprintf(&flow, "- name: take\n  tool:\n    image: busybox\n    volumes: [{name: texts, file: texts, mount_path: /texts}]\n    command: |\n      for f in /texts/*; do n=${f##*/}; eval \"printf '%%s' \\\"\\$$n\\\"\" | cmp - $f || { echo \"$n differs\"; exit 1; }; eval \"printf '%%s' \\\"\\$E_$n\\\"\" | cmp - $f || { echo \"variable $n differs\"; exit 1; }; done\n      test ! -e /tmp/owned && echo \"all arrived\"\n  inputs:\n")
	for _, n := range names {
		fmt.Fprintf(&flow, "    %s: '${make.%s}'\n", n, n)
	}
	flow.WriteString("  environment:\n")
	for _, n := range names {
		fmt.Fprintf(&flow, "    E_%s: '${make.%s}'\n", n, n)
	}
	for i, n := range names {
		fmt.Fprintf(&flow, "- name: never%d\n  tool: {image: busybox, command: 'echo a value decided'}\n  condition: ${make.%s} == \"x\"\n", i, n)
	}
	p := newProject(t, flow.String())
	p.dir = dir
	if err := os.Mkdir(filepath.Join(dir, "texts"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, "texts", names[i]), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "flow.yaml"), []byte(flow.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := p.mayfly("run", "-q", "flow.yaml").CombinedOutput()
	if err != nil || string(out) != "all arrived\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestS05_CELBombs checks that conditions that would take long are refused quickly, and before the run if their size tells.
func TestS05_CELBombs(t *testing.T) {
	list := "[1,2,3,4,5,6,7,8,9,10]"
	loops := "true"
	for i := range 9 {
		loops = fmt.Sprintf("%s.all(v%d, %s)", list, i, loops)
	}
	// The bound is relative to a run with a simple condition on this machine.
	simple := newProject(t, "workflow:\n- {name: a, tool: {image: busybox, command: 'true'}, condition: 'true'}\n").mayfly("run", "flow.yaml")
	if out, err := simple.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	most := 10 * processor(simple)
	p := newProject(t, "workflow:\n- {name: a, tool: {image: busybox, command: 'true'}, condition: '"+loops+"'}\n")
	c := p.mayfly("run", "flow.yaml")
	out, err := c.CombinedOutput()
	if took := processor(c); took > most {
		t.Errorf("it took %v of processor time, more than %v", took, most)
	}
	if err == nil || c.ProcessState.ExitCode() != 125 || !strings.Contains(string(out), "it costs more than 100000 operations to evaluate") {
		t.Errorf("%v\n%s", err, out)
	}
	for name, text := range map[string]string{
		"depth": strings.Repeat("(", 1500) + "true" + strings.Repeat(")", 1500), "length": "true" + strings.Repeat(" && true", 600),
	} {
		p := newProject(t, "workflow:\n- {name: a, tool: {image: busybox, command: 'true'}, condition: '"+text+"'}\n")
		c := p.mayfly("validate", "flow.yaml")
		out, err := c.CombinedOutput()
		if took := processor(c); err == nil || took > most || len(out) > 10_000 {
			t.Errorf("%s: %v after %v of processor time\n%.500s", name, err, took, out)
		}
	}
}

// processor returns the processor time of an ended program and its children, which doesn't depend on the machine's load.
func processor(c *exec.Cmd) time.Duration {
	return c.ProcessState.UserTime() + c.ProcessState.SystemTime()
}

// TestM08_ArtifactsAreFilesAndFolders checks that other kinds of files in an artifact are refused, and that a link in it leads
// only into the sandbox that gets it.
func TestM08_ArtifactsAreFilesAndFolders(t *testing.T) {
	secretFile := filepath.Join(t.TempDir(), "host")
	if err := os.WriteFile(secretFile, []byte(canary), 0o644); err != nil {
		t.Fatal(err)
	}
	const head = "workflow:\n- {name: a, artifacts: [{name: x}], tool: {image: busybox, command: '"
	for name, test := range map[string]struct{ make, take, want string }{
		"fifo":                   {"mkfifo /artifacts/x/f", "true", "it is neither a file, a folder nor a symbolic link"},
		"socket":                 {"nc -l -U /artifacts/x/s & while kill -0 $! && ! test -S /artifacts/x/s; do sleep 0.1; done; test -S /artifacts/x/s || mkfifo /artifacts/x/s", "true", "it is neither a file, a folder nor a symbolic link"},
		"link to host":           {"ln -s " + secretFile + " /artifacts/x/l", "cat /artifacts/x/l && echo reached", "No such file"},
		"the folder is replaced": {"rmdir /artifacts/x || mv /artifacts/x /artifacts/y", "true", "Read-only file system"},
		"too large":              {"truncate -s 3G /artifacts/x/f", "true", "larger than the volume"},
	} {
		p := newProject(t, head+test.make+"'}}\n- {name: b, artifacts: [{name: x, from: a}], tool: {image: busybox, command: '"+test.take+"'}}\n")
		out, err := p.mayfly("run", "flow.yaml").CombinedOutput()
		if err == nil || !strings.Contains(string(out), test.want) || strings.Contains(string(out), "reached") || bytes.Contains(out, []byte(canary)) {
			t.Errorf("%s: %v, want %q in\n%s", name, err, test.want, out)
		}
	}
}
