package httpmock

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// program runs a real client, which trusts the authority by the environment variables that clients read.
func (b *bridge) program(t *testing.T, name string, args ...string) (stdout string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+b.ca, "SSL_CERT_FILE="+b.ca, "CURL_CA_BUNDLE="+b.ca, "NO_PROXY=*", "no_proxy=*")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s %q doesn't end: %s", name, args, errOut.String())
	}
	if errOut.Len() > 0 {
		t.Logf("%s: %.500s", name, errOut.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func (b *bridge) last(t *testing.T) Request {
	t.Helper()
	all := b.Requests()
	if len(all) == 0 {
		t.Fatalf("no request is recorded; refused: %+v", b.Refusals())
	}
	return all[len(all)-1]
}

const hello = `
  - {path: /hello, json: {hello: world}, headers: {X-Mock: "yes"}}
`

func TestClients(t *testing.T) {
	python := `import sys,urllib.request; r=urllib.request.urlopen(sys.argv[1]); print(r.status, r.headers["X-Mock"], r.read().decode())`
	node := `const r = await fetch(process.argv[1]); console.log(r.status, r.headers.get("x-mock"), await r.text())`
	want := `200 yes {"hello":"world"}`
	for _, scheme := range []string{"http", "https"} {
		b := listen(t, hello, engine.MockedConnection{Address: "127.0.0.1", Loopback: true})
		url := scheme + "://localhost:" + b.port + "/hello?a=1"
		for _, c := range []struct {
			name string
			args []string
		}{
			{"curl", []string{"-4sSw", "%{http_code} %header{x-mock}", url}},
			{"curl", []string{"-4sS", "--http1.1", url}},
			{"python3", []string{"-c", python, url}},
			{"node", []string{"--dns-result-order=ipv4first", "--input-type=module", "-e", node, url}},
			{"wget", []string{"-4qO-", "--ca-certificate=" + b.ca, url}},
		} {
			out, status := b.program(t, c.name, c.args...)
			full := c.name == "python3" || c.name == "node"
			if status != 0 || !strings.Contains(out, `{"hello":"world"}`) || full && strings.TrimSpace(out) != want {
				t.Errorf("%s %s: status %d, %q", c.name, scheme, status, out)
			}
			r := b.last(t)
			if r.URL != url || r.Mock != "http[0]" || r.Status != 200 || r.Host != "localhost" || r.Query["a"][0] != "1" {
				t.Errorf("%s %s is recorded as %+v", c.name, scheme, r)
			}
		}
		b.ended(t)
		if n := len(b.Requests()); n != 5 || b.Used()[0] != 5 || len(b.Refusals()) != 0 {
			t.Errorf("%d requests, used %v, refused %+v", n, b.Used(), b.Refusals())
		}
	}
}

// TestCertificates checks that a certificate is for the name that the client asks for in TLS, or for the address that it
// dialled.
func TestCertificates(t *testing.T) {
	b := listen(t, hello, engine.MockedConnection{Names: []string{"other.example.com"}, Address: "127.0.0.1", Port: 443})
	out, status := b.program(t, "curl", "-sS", "--http2", "-w", " %{http_version}", "--connect-to", "api.example.com:443:127.0.0.1:"+b.port, "https://api.example.com/hello")
	if status != 0 || out != `{"hello":"world"} 2` {
		t.Errorf("curl: status %d, %q", status, out)
	}
	b.ended(t)
	if r := b.last(t); r.URL != "https://api.example.com/hello" || r.Protocol != "HTTP/2.0" {
		t.Errorf("recorded as %+v", r)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b.Authority())
	for _, name := range []string{"127.0.0.1", "api.example.com"} {
		c, err := tls.Dial("tcp", "127.0.0.1:"+b.port, &tls.Config{RootCAs: pool, ServerName: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.Close()
	}
	other := listen(t, hello, engine.MockedConnection{Address: "127.0.0.1"})
	if bytes.Equal(other.Authority(), b.Authority()) {
		t.Error("two tests have the same authority")
	}
	if _, status := other.program(t, "curl", "-sS", "--cacert", b.ca, "https://localhost:"+other.port+"/hello"); status != 60 {
		t.Errorf("curl accepts a certificate of another test's authority: status %d, want 60", status)
	}
	wait(t, func() bool { return len(other.Refusals()) == 1 })
	if p := other.Refusals()[0].Problem; !strings.Contains(p, "trust the test's authority") {
		t.Errorf("refused with %s", p)
	}
}

// wait waits until done reports true.
func wait(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the condition isn't met after %s", patience)
		}
	}
}

func TestHTTP2WithoutTLS(t *testing.T) {
	b := listen(t, hello, engine.MockedConnection{Address: "127.0.0.1"})
	out, status := b.program(t, "curl", "-sS", "--http2-prior-knowledge", "-w", " %{http_version}", "http://127.0.0.1:"+b.port+"/hello")
	if status != 0 || out != `{"hello":"world"} 2` {
		t.Errorf("curl: status %d, %q", status, out)
	}
	out, status = b.program(t, "curl", "-sS", "--http2", "-w", " %{http_version}", "http://127.0.0.1:"+b.port+"/hello")
	if status != 0 || out != `{"hello":"world"} 1.1` {
		t.Errorf("curl that asks for an upgrade: status %d, %q", status, out)
	}
}

func TestKeepAlive(t *testing.T) {
	b := listen(t, hello, engine.MockedConnection{Address: "127.0.0.1"})
	url := "http://127.0.0.1:" + b.port + "/hello"
	out, _ := b.program(t, "curl", "-sS", "-w", " %{num_connects}\n", url, url, url)
	if strings.Count(out, " 1\n") != 1 || strings.Count(out, " 0\n") != 2 {
		t.Errorf("three requests: %q", out)
	}
}

func TestAnswers(t *testing.T) {
	b := listen(t, `
  - {path: /error, status: 503, body: later, headers: {Retry-After: "3", X-Two: [a, b]}}
  - {path: /file, file: answer.json}
  - {path: /lost, file: gone.json}
  - {path: /none, status: 204}
  - {path: /same, status: 304, headers: {ETag: x}}
  - {path: /there, status: 302, headers: {Location: /hello}}
  - {path: /hello, body: hello}
  - {path: /zip, json: {a: b}, headers: {Content-Encoding: gzip}}
  - {path: /turns, answers: [{status: 500}, {status: 502}, {status: 200, body: up}]}
  - {path: /thrice, answers: [{status: 500}, {status: 200}], times: 3}
  - {path: /slow, delay: 300ms}
  - {path: /reset, reset: true}
  - {path: /short, body: abc, headers: {Content-Length: "10"}}
`, engine.MockedConnection{Address: "127.0.0.1"})
	base := "http://127.0.0.1:" + b.port
	for _, c := range []struct {
		args   []string
		want   string
		status int
	}{
		{[]string{"-w", " %{http_code} %header{retry-after} %header{content-type}", base + "/error"}, "later 503 3 text/plain; charset=utf-8", 0},
		{[]string{"-w", " %header{content-type}", base + "/file"}, `{"from": "file"} application/json`, 0},
		{[]string{base + "/lost"}, "", 56},
		{[]string{"-w", "%{http_code}", base + "/none"}, "204", 0},
		{[]string{"-w", "%{http_code}%header{etag}", base + "/same"}, "304x", 0},
		{[]string{"-L", base + "/there"}, "hello", 0},
		{[]string{"-Iw", "%{size_download}", "-o", os.DevNull, base + "/hello"}, "0", 0},
		{[]string{"--compressed", base + "/zip"}, `{"a":"b"}`, 0},
		{[]string{"-w", "%{http_code} ", base + "/turns", base + "/turns", base + "/turns", base + "/turns"}, "500 502 up200 up200 ", 0},
		{[]string{"-w", "%{http_code} ", base + "/thrice", base + "/thrice", base + "/thrice", base + "/thrice"}, "500 200 200 000 ", 56},
		{[]string{base + "/reset"}, "", 56},
		{[]string{base + "/short"}, "abc", 18},
		{[]string{base + "/nothing"}, "", 56},
	} {
		out, status := b.program(t, "curl", append([]string{"-sS"}, c.args...)...)
		if out != c.want || status != c.status {
			t.Errorf("%s: status %d, %q; want %d, %q", c.args, status, out, c.status, c.want)
		}
	}
	begin := time.Now()
	b.program(t, "curl", "-sS", base+"/slow")
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("a delay of 300ms took %v", took)
	}
	problems := ""
	for _, r := range b.Requests() {
		if r.Problem != "" {
			problems += r.Problem + "\n"
		}
	}
	for _, want := range []string{
		"GET " + base + "/lost: http[2]: its file gone.json: no such file or directory\n", "/thrice has no mock; the nearest, http[9], differs in its times: it has answered 3 requests\n",
		"/nothing has no mock; the nearest, http[",
	} {
		if !strings.Contains(problems, want) {
			t.Errorf("no problem has %q:\n%s", want, problems)
		}
	}
	if n := strings.Count(problems, "\n"); n < 3 || n > 4 { // curl tries again if it reused a connection
		t.Errorf("problems:\n%s", problems)
	}
}

func TestNeverAnswers(t *testing.T) {
	b := listen(t, "  - {path: /never, timeout: true}\n", engine.MockedConnection{Address: "127.0.0.1"})
	if _, status := b.program(t, "curl", "-sS", "-m", "1", "http://127.0.0.1:"+b.port+"/never"); status != 28 {
		t.Errorf("status %d", status)
	}
	before := len(b.Requests()) // 0 if curl needed its second to connect
	// A client that waits forever doesn't block Close, which the clean-up of this test calls.
	c, err := net.Dial("tcp", "127.0.0.1:"+b.port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return len(b.Requests()) == before+1 })
}

func TestRequestBodies(t *testing.T) {
	b := listen(t, `
  - {method: POST, path: /json, request: {json: {a: 1}}, body: ok}
  - {method: PUT, path: /any, body: ok}
`, engine.MockedConnection{Address: "127.0.0.1"})
	base := "http://127.0.0.1:" + b.port
	post := func(method, path string, body io.Reader, header ...string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, body)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 2 * patience}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(`{"a": 1, "b": 2}`))
	_ = z.Close()
	length := zipped.Len()
	post("POST", "/json", &zipped, "Content-Encoding", "gzip")
	if r := b.last(t); r.Body != `{"a": 1, "b": 2}` || r.BodySize != int64(length) || r.Mock == "" {
		t.Errorf("a compressed body is recorded as %+v", r)
	}
	post("PUT", "/any", io.MultiReader(strings.NewReader("\xff"), strings.NewReader("\x00"))) // chunked
	if r := b.last(t); string(r.BodyBase64) != "\xff\x00" || r.Body != "" {
		t.Errorf("bytes are recorded as %+v", r)
	}
	begin := time.Now()
	post("PUT", "/any", strings.NewReader("x"), "Expect", "100-continue")
	if took := time.Since(begin); took > patience {
		t.Errorf("a client that expects 100 waited for %v", took)
	}
	// Of a gzip bomb of 64 MB, only as much is decoded as is kept.
	var bomb bytes.Buffer
	z = gzip.NewWriter(&bomb)
	for range 64 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	_ = z.Close()
	post("PUT", "/any", &bomb, "Content-Encoding", "gzip")
	if r := b.last(t); len(r.Content()) != maxBodyKept || !r.BodyTruncated {
		t.Errorf("%d bytes of a bomb are kept (truncated %v)", len(r.Content()), r.BodyTruncated)
	}
}
