package commandmock

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/responder"
	"github.com/mayfly-run/mayfly/internal/suite"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mocks(t testing.TB, text string) []suite.CommandMock {
	t.Helper()
	s, err := suite.Parse("x_test.yaml", []byte("tool: x\ntests:\n- name: a\n  commands:\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Tests[0].Commands
}

// patience is how long a test waits for what must happen, on any machine and under any load.
const patience = time.Minute

// listen starts a responder with long timeouts, so that a slow machine doesn't fail a test. listenAsUsed starts one with
// the real timeouts.
func listen(t *testing.T, text string) *served {
	t.Helper()
	return serveAt(t, newResponder(mocks(t, text), times{args: 2 * patience, pause: 2 * patience, most: 2 * patience}))
}

func listenAsUsed(t *testing.T, text string) *served {
	t.Helper()
	return serveAt(t, New(mocks(t, text)))
}

// served is a responder with the path of the socket where calls reach it.
type served struct {
	*Responder
	socket string
}

func serveAt(t *testing.T, r *Responder) *served {
	t.Helper()
	folder, err := os.MkdirTemp("", "mock")
	if err != nil {
		t.Fatal(err)
	}
	s := &served{r, filepath.Join(folder, "commands")}
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			r.Serve(c)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		r.Close()
		os.RemoveAll(folder)
	})
	return s
}

func word(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func lengths(args ...string) []byte {
	var b []byte
	for _, a := range args {
		b = append(b, word(a)...)
	}
	return binary.BigEndian.AppendUint32(b, argsEnd)
}

// call does what a process of a mocked command does, and returns what it gets. If input is nil, the input doesn't end.
func call(t *testing.T, r *served, input *string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	c, err := net.Dial("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(lengths(args...)); err != nil {
		t.Fatal(err)
	}
	if input != nil {
		for rest := *input; rest != ""; {
			n := min(len(rest), 1000)
			if _, err := c.Write(word(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if _, err := c.Write([]byte{0, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
	}
	for {
		var head [5]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			t.Fatalf("%q has no exit: %v", args, err)
		}
		data := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(c, data); err != nil {
			t.Fatal(err)
		}
		switch head[0] {
		case kindStdout:
			stdout += string(data)
		case kindStderr:
			stderr += string(data)
		case kindExit:
			return stdout, stderr, int(data[0])
		default:
			t.Fatalf("kind %d", head[0])
		}
	}
}

func input(s string) *string { return &s }

func TestAnswers(t *testing.T) {
	r := listen(t, `
  - {command: kubectl, args: [get, pods, "-n", "*"], stdout: pods}
  - {command: kubectl, args: {prefix: [apply]}, stdin: {contains: "kind: Pod"}, answers: [{stderr: busy, exit_code: 1}, {stdout: done}]}
  - {command: git, times: 1, delay: 200ms}
  - {command: big, stdout: "`+strings.Repeat("0123456789", 20_000)+`"}
`)
	for _, c := range []struct {
		args           []string
		input          *string
		stdout, stderr string
		status         int
	}{
		{[]string{"kubectl", "get", "pods", "-n", "prod"}, input(""), "pods", "", 0},
		{[]string{"/mock/kubectl", "get", "pods", "-n", ""}, input(""), "pods", "", 0},
		{[]string{"kubectl", "get", "pods"}, input(""), "", "mayfly: kubectl get pods has no mock; the nearest, commands[0], differs in args: word 3, -n, is missing\n", 127},
		{[]string{"kubectl", "get", "pods", "-n", "a", "b c"}, input(""), "", "mayfly: kubectl get pods -n a 'b c' has no mock; the nearest, commands[0], differs in args: 1 words more than the 4 of the mock\n", 127},
		{[]string{"kubectl", "apply", "-f", "-"}, input("kind: Pod\n"), "", "busy", 1},
		{[]string{"kubectl", "apply", "-f", "-"}, input("kind: Pod\n"), "done", "", 0},
		{[]string{"kubectl", "apply", "-f", "-"}, input("kind: Pod\n"), "done", "", 0},
		{[]string{"kubectl", "apply"}, input("kind: Job\n"), "", "mayfly: kubectl apply has no mock; the nearest, commands[1], differs in stdin: it does not contain \"kind: Pod\"\n", 127},
		{[]string{"git"}, input("x"), "", "", 0},
		{[]string{"git"}, input("x"), "", "mayfly: git has no mock; the nearest, commands[2], differs in its times: it has answered 1\n", 127},
		{[]string{"big"}, input(strings.Repeat("x", 2<<20)), strings.Repeat("0123456789", 20_000), "", 0},
	} {
		stdout, stderr, status := call(t, r, c.input, c.args...)
		if stdout != c.stdout || stderr != c.stderr || status != c.status {
			t.Errorf("%q: %.100q, %q, %d; want %.100q, %q, %d", c.args, stdout, stderr, status, c.stdout, c.stderr, c.status)
		}
	}
	calls := r.Calls()
	if c := calls[4]; c.Seq != 5 || c.Mock != "commands[1]" || c.Stdin != "kind: Pod\n" || c.ExitCode != 1 || c.Command != "kubectl" {
		t.Errorf("recorded as %+v", c)
	}
	if c := calls[10]; c.StdinSize != 2<<20 || len(c.Stdin) != maxStdinKept || !c.StdinTruncated {
		t.Errorf("%d bytes of a long input are kept (size %d, truncated %v)", len(c.Stdin), c.StdinSize, c.StdinTruncated)
	}
	if used := r.Used(); used[0] != 2 || used[1] != 3 || used[2] != 1 {
		t.Errorf("used %v", used)
	}
	if names := strings.Join(r.Commands(), " "); names != "big git kubectl" {
		t.Errorf("commands %s", names)
	}
}

// TestInputThatDoesNotEnd checks that a mock without a condition on the input doesn't wait for its end.
func TestInputThatDoesNotEnd(t *testing.T) {
	r := listenAsUsed(t, "  - {command: git, stdout: ok}\n")
	if out, _, status := call(t, r, nil, "git"); out != "ok" || status != 0 { // within its patience
		t.Errorf("answer %q, %d", out, status)
	}
}

// TestInputWithoutAnEnd checks that such a mock also answers while input keeps coming.
func TestInputWithoutAnEnd(t *testing.T) {
	r := listenAsUsed(t, "  - {command: git, stdout: ok}\n")
	c, err := net.Dial("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(lengths("git")); err != nil {
		t.Fatal(err)
	}
	go func() { // as yes(1) does
		block := append([]byte{0, 0, 0, 200}, bytes.Repeat([]byte("y\n"), 100)...)
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	begin := time.Now()
	answer := make([]byte, 7)
	if err := c.SetReadDeadline(begin.Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer); err != nil || string(answer[5:]) != "ok" {
		t.Errorf("answer %q after %v, %v", answer, time.Since(begin), err)
	}
}

// TestForeignNames checks that a connection with another name than that of a mocked command is refused, and nothing of it
// is kept.
func TestForeignNames(t *testing.T) {
	r := listen(t, "  - {command: git, stdout: ok}\n")
	c, err := net.Dial("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(lengths(strings.Repeat("x", 1<<20))); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if calls := r.Calls(); len(calls) != 0 || len(r.Refusals()) != 1 {
		t.Errorf("%d calls are recorded, refused are %v", len(calls), r.Refusals())
	}
}

// TestHostile checks that a call is answered after connections that send garbage.
func TestHostile(t *testing.T) {
	r := listen(t, "  - {command: git, stdout: ok}\n  - {command: cat, stdin: {contains: x}}\n")
	for _, data := range [][]byte{
		nil,
		{0},
		{0xff, 0xff, 0xff, 0xff},
		{0x7f, 0xff, 0xff, 0xff},
		{0x00, 0x10, 0, 0},
		word(""), bytes.Repeat([]byte{0, 0, 0, 0}, 2*maxArgs),
		bytes.Repeat(word(strings.Repeat("x", 100<<10)), 30), append(lengths("git"), 0xff, 0xff, 0xff, 0xff, 1, 2, 3), []byte("GET / HTTP/1.1\r\n\r\n"),
		lengths("cat"), append(lengths("cat"), 0, 0, 0, 5, 'x'),
	} {
		c, err := net.Dial("unix", r.socket)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(data) // fails if the responder closes early
		c.Close()
	}
	// Connections that stay open are limited too.
	var open []net.Conn
	for range maxConnections + 20 {
		c, err := net.Dial("unix", r.socket)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	last := open[len(open)-1]
	_ = last.SetReadDeadline(time.Now().Add(patience))
	if _, err := last.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("one connection too many: %v", err)
	}
	for _, c := range open {
		c.Close()
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		n := r.connections.Open()
		if n == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", n)
		}
	}
	if out, _, _ := call(t, r, input(""), "git"); out != "ok" {
		t.Errorf("answer %q", out)
	}
	if calls := r.Calls(); len(calls) > 2 {
		t.Errorf("calls %+v", calls)
	}
	refused := r.Refusals()
	if refused["the tool has more than 200 calls at once"] < 20 || refused["what connects isn't a mocked command: it sends more arguments than Linux takes"] < 3 || len(refused) > 3 {
		t.Errorf("refused: %v", refused)
	}
}

func TestArgumentsAreBounded(t *testing.T) {
	long := strings.Repeat("x", maxArgBytes/2)
	for name, c := range map[string]struct {
		data []byte
		ok   bool
	}{
		"some":     {lengths("git", "status"), true},
		"long":     {lengths("git", long), true},
		"too long": {lengths("git", long, long), false},
		"one":      {append([]byte{0x40, 0, 0, 0}, make([]byte, 100)...), false},
		"many":     {append(bytes.Repeat(word(""), maxArgs), 0xff, 0xff, 0xff, 0xff), true},
		"too many": {append(bytes.Repeat(word(""), maxArgs+1), 0xff, 0xff, 0xff, 0xff), false},
		"none":     {lengths(), false},
	} {
		_, err := readArgs(bytes.NewReader(c.data))
		if c.ok && err != nil || !c.ok && !errors.Is(err, errProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecordsAreBounded(t *testing.T) {
	r := responder.NewRecords[Call](0, maxCalls, maxRecorded)
	for range 100 {
		r.Add(&Call{Stdin: strings.Repeat("x", maxStdinKept)})
	}
	if kept := r.All(); r.Bytes() > maxRecorded || kept[99].Stdin != "" || !kept[99].StdinTruncated || kept[0].Stdin == "" {
		t.Errorf("%d bytes are kept", r.Bytes())
	}
	for range maxCalls {
		r.Add(&Call{Problem: "no mock"})
	}
	if kept := r.All(); len(kept) != maxCalls || r.Dropped() != 100 || r.Lost() != 100 {
		t.Errorf("%d calls are kept, %d are dropped", len(kept), r.Dropped())
	}
}

func FuzzProtocol(f *testing.F) {
	f.Add(append(lengths("git", "status"), 0, 0, 0, 1, 'x', 0, 0, 0, 0))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff})
	f.Add(append(lengths("a"), 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		args, err := readArgs(r)
		if err != nil {
			return
		}
		if len(args) == 0 || len(args) > maxArgs {
			t.Fatalf("%d arguments", len(args))
		}
		in := &stdin{}
		buf := make([]byte, 100)
		for !in.done {
			if err := in.read(r, buf); err != nil {
				break
			}
		}
		if int64(len(in.kept)) > in.size || in.size > int64(len(data)) {
			t.Errorf("kept %d of %d bytes", len(in.kept), in.size)
		}
		c := &Call{Command: args[0], Args: args[1:]}
		c.setStdin(in)
		if c.Input() != string(in.kept) {
			t.Errorf("input %q, want %q", c.Input(), in.kept)
		}
		_ = c.String()
	})
}
