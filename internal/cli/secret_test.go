package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mayflySecret runs `mayfly secret` with the home of a test.
func mayflySecret(t *testing.T, stdin string, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = Main(t.Context(), append([]string{"secret"}, args...), strings.NewReader(stdin), &o, &e)
	return status, o.String(), e.String()
}

func TestSecretCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	t.Setenv("MAYFLY_HOME", dir)
	t.Setenv("MAYFLY_TEST_VALUE", "s3cr3t-canary")
	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("a passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(dir, "secrets")
	for _, tc := range []struct {
		args, stdin string
		status      int
		out, err    string // a beginning; the whole when it ends in a line break
	}{
		{args: "ls", out: "NAME   VERSION   SET\n"},
		{args: "ls --json", out: "[]\n"},
		{args: "rm token", status: 125, err: `mayfly: secret "token" not found; looked in: store ` + store + "; to list them: mayfly secret ls\n"},
		{args: "set token", stdin: "s3cr3t-canary\n", out: "token version 1\n"},
		{args: "set token --from env:MAYFLY_TEST_VALUE", out: "token version 2\n"},
		{args: "set token --from -", stdin: "s3cr3t-canary", out: "token version 3\n"},
		{args: "set pin", stdin: "123\n", out: "pin version 1\n", err: "warning: the value of pin has fewer than 4 characters; Mayfly doesn't mask it in what tools print\n"},
		{args: "set none", stdin: "\n", status: 125, err: "mayfly: the value of none is empty, so it wasn't set; to remove the secret: mayfly secret rm none\n"},
		{args: "set token s3cr3t-canary", status: 125, err: "mayfly: mayfly secret set takes NAME, not 2 arguments; don't put a value on the command line"},
		{args: "set token --from s3cr3t-canary", status: 125, err: "mayfly: read the value of token: a value can't be on the command line"},
		{args: "set token --from env:MAYFLY_TEST_UNSET", status: 125, err: "mayfly: read the value of token: env:MAYFLY_TEST_UNSET: there is no variable MAYFLY_TEST_UNSET in the environment; export it first\n"},
		{args: "set a/b", status: 125, err: `mayfly: "a/b" can't be the name of a secret; use letters`},
		{args: "set token --passphrase-from file:" + pass, stdin: "x", status: 125, err: "mayfly: the store already has a key; change its passphrase with: mayfly secret rotate-key --passphrase\n"},
		{args: "set token --passphrase", stdin: "x", status: 125, err: "mayfly: read the passphrase: standard input is not a terminal\n"},
		{args: "rm tokn", status: 125, err: `mayfly: secret "tokn" not found; looked in: store ` + store + "; did you mean token?\n"},
		{args: "ls -q", out: "pin\ntoken\n"},
		{args: "ls", out: "NAME    VERSION   SET\npin     1         now\ntoken   3         now\n"},
		{args: "ls --json", out: `[{"name":"pin","version":1,"set":"`},
		{args: "rotate-key", out: "secrets wrapped for the new key: 2\n"},
		{args: "rotate-key --passphrase-from file:" + pass, out: "secrets wrapped for the new key: 2\n"},
		{args: "set token", stdin: "s3cr3t-canary", status: 125, err: `mayfly: set secret "token": ` + store + "/identity.txt has a passphrase, and there is no terminal to ask for it; set $MAYFLY_PASSPHRASE_FILE to a file that contains it\n"},
		{args: "ls -q", out: "pin\ntoken\n"},
		{args: "rm pin token", out: "pin\ntoken\n"},
		{args: "ls -q"},
	} {
		status, out, errOut := mayflySecret(t, tc.stdin, strings.Fields(tc.args)...)
		if status != tc.status || !begins(out, tc.out) || !begins(errOut, tc.err) {
			t.Errorf("secret %s: status %d, out %q, err %q; want %d, %q, %q", tc.args, status, out, errOut, tc.status, tc.out, tc.err)
		}
		if strings.Contains(out+errOut, "s3cr3t-canary") {
			t.Errorf("secret %s prints the value: %s%s", tc.args, out, errOut)
		}
	}
}

// begins reports whether text is want, or begins with it if want doesn't end a line.
func begins(text, want string) bool {
	if want == "" || strings.HasSuffix(want, "\n") {
		return text == want
	}
	return strings.HasPrefix(text, want)
}

// TestNoPassphraseOfAServer has no flag about the key of this machine ignored when the command goes to a server. It refuses them before it
// connects.
func TestNoPassphraseOfAServer(t *testing.T) {
	t.Setenv("MAYFLY_HOME", t.TempDir())
	t.Setenv("MAYFLY_SERVER", "https://127.0.0.1:1")
	t.Setenv("MAYFLY_TOKEN", "mfly_token")
	for _, args := range [][]string{
		{"set", "a", "--passphrase"},
		{"set", "a", "--passphrase-from", "env:A"},
		{"rotate-key", "--passphrase"},
		{"rotate-key", "--passphrase-from", "env:A"},
		{"rotate-key", "--no-passphrase"},
	} {
		if status, out, errOut := mayflySecret(t, "value", args...); status == 0 || !strings.Contains(errOut, errOwnKey.Error()) {
			t.Errorf("%v: %d, %s%s", args, status, out, errOut)
		}
	}
}
