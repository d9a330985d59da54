package definition

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHostWarnings: a name on a platform that many sites share causes one warning, and a name under its owner's domain none.
func TestHostWarnings(t *testing.T) {
	for rule, want := range map[string]string{
		`{host: d111.cloudfront.net, ports: [443]}`: `host "d111.cloudfront.net": other sites of cloudfront.net may answer at the same addresses, which the rule opens; don't give the tool a secret`,
		`{host: x.github.io}`:                       "other sites of github.io",
		`{host: bucket.s3.amazonaws.com}`:           "other sites of s3.amazonaws.com",
		`{host: s3.amazonaws.com}`:                  "other sites of s3.amazonaws.com",
		`{host: "*.x.github.io"}`:                   "other sites of github.io",
		`{host: "*.github.io"}`:                     `anyone can register a name below github.io`,
		`{host: api.example.co.uk}`:                 "",
		`{host: api.example.com}`:                   "",
		`{host: db.corp}`:                           "",
		`{host: host.mayfly.internal}`:              "",
		`{host: 192.0.2.1}`:                         "",
		`{cidr: 192.0.2.0/24}`:                      "",
	} {
		def, err := Parse("tool.yaml", []byte("image: alpine\nnetwork:\n  - "+rule+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		got := def.HostWarnings()
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0].String(), "tool.yaml:3:5: ") || !strings.Contains(got[0].String(), want)) {
			t.Errorf("%s: got %v, want %q", rule, got, want)
		}
		if byName := strings.Contains(rule, "host") && !strings.Contains(rule, "internal") && !strings.Contains(rule, "192"); def.OpensHosts() != byName {
			t.Errorf("%s: OpensHosts() = %v, want %v", rule, !byName, byName)
		}
	}
}

func TestWarningsOfFilesAndSecrets(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "check.sh"), []byte("true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"run.py": "import os\n", "named.py": "#!/usr/bin/python3\nimport os\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "e.sh"), []byte("true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	beside, err := filepath.Rel(dir, filepath.Join(other, "e.sh"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"script: " + other + "/e.sh": `/e.sh" is the text of a script; the file at that path on this machine isn't in the sandbox; to run the file, keep it in this file's folder, ` + dir + `, and write script: {file: e.sh}`,
		"script: " + beside:          "write script: {file: e.sh}",
		"script: /bin/sh":            "", // the image's own
		"script: " + other + "/e.s":  "",
		"script: ./check.sh":         `:2:9: script: "./check.sh" is the text of a script; a file of that name is beside this one, but it isn't in the sandbox; to run the file write script: {file: check.sh}`,
		"script: check.sh":           "write script: {file: check.sh}",
		"script: ./missing.sh":       "",
		"script: ../check.sh":        "",
		"script: ./check.sh -v":      "",
		"script: {file: check.sh}":   "",
		"script: {file: run.py}":     `script file "run.py" has no #! line, so /bin/sh runs it; name its interpreter in its first line: #!/usr/bin/env python3`,
		"script: {file: named.py}":   "",
		"script: ./check.sh\nvolumes: [{name: a, file: check.sh, mount_path: /workspace/check.sh}]": "",
		"environment: [\"H=Bearer /secrets/token\"]":                                                `:2:15: variable H: /secrets/token inside a longer value stays text, and nothing is mounted there; give the secret its own variable, X=/secrets/token, `,
		"environment: [H=/secrets/token.]":                                                          "",
		"environment: [H=/secrets/token]":                                                           "",
		"environment: [\"H=/secrets/a:/secrets/b\"]":                                                "/secrets/a inside",
		"environment: [\"H=-f /secrets/a\"]\nvolumes: [{name: a, secret: s}]":                       "",
		"environment: [H=/secrets/]":                                                                "",
		"environment: {H: \"Bearer ${{ secrets.token }}\"}":                                         `:2:15: variable H: ${{ secrets.token }} is plain text here; a secret is the whole value of a variable: H: /secrets/token`,
		"environment: {H: \"{{ token }}\"}":                                                         "",
		"environment: {H: \"{{.Names}} {{range .}}\"}":                                              "",
		"environment: {PATH: \"/opt/bin:$PATH\"}":                                                   `variable PATH: $PATH is plain text here: no shell reads it; set it in the command or script: export PATH="/opt/bin:$PATH"`,
		"environment: {H: \"costs $5 and $HOME\"}":                                                  "",
		"args: [{name: path}]":                                                                      `:2:8: argument "path" arrives as PATH, which is the path where a shell finds programs; give it another variable: env: INPUT_PATH`,
		"args: [{name: path, env: FILE}]":                                                           "",
		"command: [echo, a, \"&&\", echo, b]":                                                       "no shell reads the list of command, so \"&&\" is an argument; write the command as one text",
		"command: [sh, -c, \"a && b\"]":                                                             "",
		"command: [sh, ./check.sh]":                                                                 `the file "check.sh" of this folder isn't in the sandbox; run it with script: {file: check.sh}, or mount it: `,
		"command: ./check.sh -v":                                                                    `the file "check.sh" of this folder isn't in the sandbox`,
		"command: [sh, ./missing.sh]":                                                               "",
		"command: [sh, check.sh]\nvolumes: [{name: a, file: check.sh, mount_path: /workspace/check.sh}]": "",
		"command: echo a=b >> $GITHUB_OUTPUT":                                       `$GITHUB_OUTPUT exists only on GitHub; outputs are written as NAME=value lines: >> "$MAYFLY_OUTPUT"`,
		"script: echo a=b >> ${GITHUB_OUTPUT}":                                      "$GITHUB_OUTPUT exists only on GitHub",
		"script: test -n $GITHUB_OUTPUT":                                            "",
		"script: echo a >> ${MAYFLY_OUTPUT:-$GITHUB_OUTPUT}":                        "",
		"command: [find, ., -exec, rm, \"{}\", \";\"]":                              "",
		"command: [sh, check.sh]":                                                   "", // the image may have it
		"args: [{name: seconds}]":                                                   "",
		"args: [{name: where, env: HOME}]":                                          "",
		"workflow: [{name: a, tool: {image: b}, environment: {S: /secrets/token}}]": "variable S: /secrets/token is plain text here: only a tool's own environment can name a secret; write it in the environment of the step's tool",
		"workflow: [{name: a, tool: {image: b, volumes: [{name: token, secret: token}]}, environment: {S: /secrets/token}}]": "",
		"workflow: [{name: a, tool: {image: b}, inputs: {s: \"x /secrets/a {{.TAG}}\"}}]":                                    "",
	} {
		file := filepath.Join(dir, "tool.yaml")
		if err := os.WriteFile(file, []byte(firstLine(text)+"\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		def, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if def.Tool != nil {
			if err := def.Tool.ReadFiles(); err != nil {
				t.Fatal(err)
			}
		}
		got := def.Warnings()
		if want == "" && got != nil || want != "" && (len(got) != 1 || !strings.Contains(got[0].String(), want)) {
			t.Errorf("%s: got %v, want %q", text, got, want)
		}
	}
}

// firstLine returns the first line of a definition: an image for a tool, and a name for a workflow.
func firstLine(text string) string {
	if strings.HasPrefix(text, "workflow:") {
		return "name: a"
	}
	return "image: alpine"
}
