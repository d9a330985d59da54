package httpmock

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/responder"
	"github.com/mayfly-run/mayfly/internal/suite"
)

// say sends text, closes its half of the connection if half is set, and returns what comes until the end. reset says that
// the connection was reset.
func (b *bridge) say(t *testing.T, text string, half bool) (answer string, reset bool) {
	t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+b.port)
	if errors.Is(err, syscall.ECONNRESET) { // it came before connect had returned
		return "", true
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return "", true // a read doesn't return this error again
	} else if err != nil {
		t.Fatal(err)
	}
	if half {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	data, err := io.ReadAll(c)
	if os.IsTimeout(err) {
		t.Fatalf("%.40q isn't answered", text)
	}
	return string(data), errors.Is(err, syscall.ECONNRESET)
}

func TestNotHTTP(t *testing.T) {
	for text, want := range map[string]string{
		"SSH-2.0-OpenSSH_9.2\r\n":              `the tool sent "SSH-2.0-OpenSSH_9.2\r\n", which isn't HTTP`,
		"\x00\x00\x00\x08\x04\xd2\x16\x2f":     `the tool sent "\x00\x00\x00\b\x04\xd2\x16/", which isn't HTTP`,
		strings.Repeat("A", 100):               `the tool sent "AAAA`,
		"GE":                                   `the tool sent "GE" and no more`,
		"":                                     "the tool sent nothing for 2s",
		"\x16\x03\x01\x00\x05hello":            "the TLS handshake failed",
		"GET / HTTP/1.1\r\nbad header\r\n\r\n": "malformed HTTP request",
		"GET / HTTP/9.1\r\n\r\n":               "malformed HTTP request",
		"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 100<<10) + "\r\n\r\n": "malformed HTTP request",
	} {
		opts := Options{Mocks: mocks(t, hello)}
		if text == "" || text == "GE" {
			opts.silence = silenceTimeout
		}
		b := listenWith(t, opts, engine.MockedConnection{Names: []string{"db.example.com"}, Address: "198.19.0.7", Port: 5432})
		answer, reset := b.say(t, text, false)
		if want == "malformed HTTP request" {
			if !strings.HasPrefix(answer, "HTTP/1.1 4") && !strings.HasPrefix(answer, "HTTP/1.1 5") && !reset {
				t.Errorf("%.40q: %q", text, answer)
			}
		} else if !reset && !strings.HasPrefix(text, "\x16") {
			t.Errorf("%.40q isn't reset: %q", text, answer)
		}
		wait(t, func() bool { return len(b.Refusals()) > 0 })
		r := b.Refusals()[0]
		if !strings.Contains(r.Problem, want) || r.Host != "db.example.com" || r.Port != 5432 || len(b.Requests()) != 0 {
			t.Errorf("%.40q is recorded as %+v, want %s", text, r, want)
		}
	}
}

// TestAPortCheckIsNoRequest checks that a client may test whether a port is open without sending a request.
func TestAPortCheckIsNoRequest(t *testing.T) {
	b := listen(t, hello, engine.MockedConnection{Address: "127.0.0.1"})
	if answer, _ := b.say(t, "", true); answer != "" {
		t.Errorf("it is answered %q", answer)
	}
	b.ended(t)
	if r := b.Refusals(); len(r) != 0 {
		t.Errorf("refused: %+v", r)
	}
}

// TestHalfClosed checks that a client that closes its half of the connection still gets its answer.
func TestHalfClosed(t *testing.T) {
	b := listen(t, "  - {path: /, body: answered, delay: 100ms}\n", engine.MockedConnection{Address: "127.0.0.1"})
	answer, reset := b.say(t, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true)
	if !strings.HasSuffix(answer, "answered") || reset {
		t.Errorf("answer %q, reset %v", answer, reset)
	}
}

func TestRefusedClearly(t *testing.T) {
	b := listen(t, "  - {method: POST}\n", engine.MockedConnection{Address: "127.0.0.1", Port: 80})
	for text, want := range map[string]string{
		"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n": "the tool asks for a websocket",
		"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n":                "the tool uses a proxy (CONNECT)",
	} {
		answer, _ := b.say(t, text, true)
		if !strings.HasPrefix(answer, "HTTP/1.1 501 ") || !strings.Contains(answer, "mayfly: "+want) {
			t.Errorf("%.20q is answered %q", text, answer)
		}
		if r := b.last(t); !strings.Contains(r.Problem, want) || r.Mock != "" {
			t.Errorf("%.20q is recorded as %+v", text, r)
		}
	}
}

// TestUnmatchedHTTP2 checks that an HTTP/2 request without a mock also resets its connection.
func TestUnmatchedHTTP2(t *testing.T) {
	b := listen(t, hello, engine.MockedConnection{Address: "127.0.0.1"})
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: &protocols}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://127.0.0.1:" + b.port + "/none")
	if err == nil {
		resp.Body.Close()
		t.Fatalf("answered: %v", resp.Status)
	}
	if r := b.last(t); r.Protocol != "HTTP/2.0" || r.Problem == "" {
		t.Errorf("recorded as %+v (%v)", r, err)
	}
}

// TestSpareConnections checks that connections that are opened and not used are not reported, with TLS and over HTTP/2
// too: clients open spare ones.
func TestSpareConnections(t *testing.T) {
	b := listen(t, hello, engine.MockedConnection{Address: "127.0.0.1"})
	for _, next := range [][]string{{"h2"}, {"http/1.1"}, nil} {
		c, err := tls.Dial("tcp", "127.0.0.1:"+b.port, &tls.Config{InsecureSkipVerify: true, NextProtos: next})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if refused := b.Refusals(); len(refused) > 0 {
		t.Errorf("refused are %+v", refused)
	}
}

// TestOneStreamIsLeft checks that a client that abandons one request over HTTP/2 keeps the others of its connection.
func TestOneStreamIsLeft(t *testing.T) {
	b := listen(t, "  - {path: /slow, timeout: true}\n  - {path: /later, delay: 700ms, body: there}\n", engine.MockedConnection{Address: "127.0.0.1"})
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: &protocols}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	later := make(chan string, 1)
	go func() {
		resp, err := client.Get("https://127.0.0.1:" + b.port + "/later")
		if err != nil {
			later <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		later <- fmt.Sprint(string(body), err)
	}()
	wait(t, func() bool { return len(b.Requests()) == 1 }) // the connection exists
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // cancel when the other request has arrived too
		for ctx.Err() == nil && len(b.Requests()) < 2 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1:"+b.port+"/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("answered: %v", resp.Status)
	}
	if got := <-later; got != "there<nil>" {
		t.Errorf("the other request got %s", got)
	}
}

// TestBodiesUnderWay checks that only maxBodies bodies are read at once.
func TestBodiesUnderWay(t *testing.T) {
	b := listen(t, hello, engine.MockedConnection{Address: "127.0.0.1"})
	const uploads = maxBodies + 40
	var conns []net.Conn
	for range uploads {
		c, err := net.Dial("tcp", "127.0.0.1:"+b.port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx"); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	wait(t, func() bool { return len(b.bodies) >= maxBodies })
	time.Sleep(50 * time.Millisecond) // for more
	if n := len(b.bodies); n != maxBodies {
		t.Errorf("%d bodies are read at once", n)
	}
	for _, c := range conns {
		c.Close()
	}
	wait(t, func() bool { return len(b.bodies) == 0 })
}

// TestLargeBodies sends 100 MB in each direction and checks that they aren't held in memory.
func TestLargeBodies(t *testing.T) {
	const size = 100 << 20
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	b := listenWith(t, Options{Dir: dir, Mocks: mocks(t, "  - {path: /large, file: large}\n")}, engine.MockedConnection{Address: "127.0.0.1"})
	base := "http://127.0.0.1:" + b.port
	runtime.GC() // free what other tests have left
	peak := make(chan uint64)
	stop := make(chan struct{})
	go func() {
		var most uint64
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(5 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
	}()
	out, status := b.program(t, "curl", "-sS", "-T", filepath.Join(dir, "large"), "-o", os.DevNull, "-w", "%{size_download} %{size_upload}", base+"/large")
	close(stop)
	if out != fmt.Sprintf("%d %d", size, size) || status != 0 {
		t.Errorf("curl: status %d, %q", status, out)
	}
	if most := <-peak; most > size*3/4 { // HeapAlloc includes garbage
		t.Errorf("%d MB were held", most>>20)
	}
	if r := b.last(t); r.BodySize != size || len(r.Body) != maxBodyKept || !r.BodyTruncated {
		t.Errorf("recorded are %d bytes of %d", len(r.Body), r.BodySize)
	}
}

// TestBomb checks that only as much of a compressed body is decoded as is kept.
func TestBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 64 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b, err := readBody(&bomb, "gzip", 0)
	runtime.ReadMemStats(&after)
	if err != nil || len(b.kept) != maxBodyKept || !b.truncated {
		t.Errorf("%d bytes are kept (%v)", len(b.kept), err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
		t.Errorf("%d MB were allocated", n>>20)
	}
}

func TestTooManyConnections(t *testing.T) {
	b := listen(t, hello+"  - {path: /never, timeout: true}\n", engine.MockedConnection{Address: "127.0.0.1"})
	var open []net.Conn
	t.Cleanup(func() {
		for _, c := range open {
			c.Close()
		}
	})
	for range maxConnections {
		c, err := net.Dial("tcp", "127.0.0.1:"+b.port)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		if _, err := io.WriteString(c, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, func() bool { return b.connections.Open() == maxConnections })
	if _, reset := b.say(t, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", false); !reset {
		t.Error("one more connection is taken")
	}
	if r := b.Refusals(); len(r) != 1 || !strings.Contains(r[0].Problem, "more than 1000 connections at once") {
		t.Errorf("refused: %+v", r)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	r := responder.NewRecords[Request](0, maxRequests, maxRecorded)
	for range 100 {
		r.Add(&Request{Body: strings.Repeat("x", maxBodyKept), Headers: map[string][]string{"A": {"b"}}})
	}
	if kept := r.All(); r.Bytes() > maxRecorded+100 || len(kept) != 100 || kept[99].Body != "" || !kept[99].BodyTruncated || kept[0].Body == "" {
		t.Errorf("%d bytes are kept", r.Bytes())
	}
	for range maxRequests {
		r.Add(&Request{Problem: "no mock"})
	}
	if kept := r.All(); len(kept) != maxRequests || r.Dropped() != 100 || r.Lost() != 100 {
		t.Errorf("%d requests are kept, %d are dropped", len(kept), r.Dropped())
	}
}

// TestLongRequestsAreBounded checks, for each part of a request that may be long, that the weight of a record is its size
// in a report, and that a record for which there is no room holds no long part in memory.
func TestLongRequestsAreBounded(t *testing.T) {
	const many = 300
	long, zeros := strings.Repeat("a", 20_000), strings.Repeat("\x00", 20_000)
	for name, text := range map[string]string{
		"address": "GET /%d/" + long + "?" + long + "=" + long + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"method":  long + long + long + " /%d HTTP/1.1\r\nHost: x\r\n\r\n",
		"host":    "GET /%d HTTP/1.1\r\nHost: " + long + long + "\r\n\r\n",
		"headers": "GET /%d HTTP/1.1\r\nHost: x\r\n" + long + ": " + long + "\r\n\r\n",
	} {
		// room has enough of it for one record, and full has none.
		room := &Responder{opts: Options{Mocks: mocks(t, hello)}, records: responder.NewRecords[Request](1, 1, maxRecorded)}
		full := &Responder{opts: room.opts, records: responder.NewRecords[Request](1, maxRequests, 0)}
		c := &connection{about: engine.MockedConnection{Address: "127.0.0.1", Port: 80}}
		match := func(r *Responder, i int) *Request {
			req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(fmt.Sprintf(text, i))))
			if err != nil {
				t.Fatal(err)
			}
			record := describe(req, c)
			record.setBody(&body{kept: []byte(zeros)})
			r.match(record)
			return record
		}
		report, err := json.Marshal(match(room, 0))
		if err != nil || len(report) > room.records.Bytes()+500 {
			t.Errorf("%s: a report of %d bytes weighs %d (%v)", name, len(report), room.records.Bytes(), err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range many {
			match(full, i+1)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if held := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / many; held > 8<<10 {
			t.Errorf("%s: a record for which there is no room holds %d bytes", name, held)
		}
		if last := full.Requests()[many-1]; !strings.Contains(last.Problem, "has no mock; the nearest") || len(last.Problem) > 3*maxShortened || last.Seq != many {
			t.Errorf("%s: the last one is recorded as %+v", name, last)
		}
	}
}

func TestCertificatesAreBounded(t *testing.T) {
	a, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 * maxLeaves {
		if _, err := a.leaf([]string{fmt.Sprintf("h%d.example.com", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.leaves) > maxLeaves {
		t.Errorf("%d certificates are kept", len(a.leaves))
	}
	one, _ := a.leaf([]string{"a"})
	if again, _ := a.leaf([]string{"a"}); again != one {
		t.Error("a certificate isn't kept")
	}
	for _, name := range []string{"a..b", ".a", "\x00", "ü", strings.Repeat("a", 300), "a b", "*"} {
		if _, err := a.leaf([]string{name}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestCloseWaitsForNoTool checks that Close doesn't wait for a tool that sends nothing or reads nothing.
func TestCloseWaitsForNoTool(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, 32<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	b := listenWith(t, Options{Dir: dir, Mocks: mocks(t, "  - {path: /large, file: large}\n")}, engine.MockedConnection{Address: "127.0.0.1"})
	for _, text := range []string{"", "G", "\x16", "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"} {
		c, err := net.Dial("tcp", "127.0.0.1:"+b.port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, func() bool { return len(b.Requests()) == 1 })
	time.Sleep(300 * time.Millisecond) // until the buffers between them are full
	begin := time.Now()
	done := make(chan error)
	go func() { done <- b.Close() }()
	select {
	case err := <-done:
		if took := time.Since(begin); err != nil || took > patience/2 {
			t.Errorf("it took %v (%v)", took, err)
		}
	case <-time.After(3 * patience):
		t.Fatal("Close doesn't return")
	}
	if r := b.Refusals(); len(r) != 0 {
		t.Errorf("what the end cut short is recorded: %+v", r)
	}
}

// TestEngineLines checks that the engine's line about a connection is bounded, and that a malformed one is refused.
func TestEngineLines(t *testing.T) {
	b := listen(t, hello, engine.MockedConnection{Address: "127.0.0.1"})
	for _, line := range []string{strings.Repeat("x", 2*maxFirstLine), "{}x\n", "\n", `{"port": 70000}` + "\n"} {
		c, err := net.Dial("unix", b.socket)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(firstLineTimeout / 2)) // before the responder's own timeout
		_, _ = io.WriteString(c, line)                          // fails if the responder closes early
		data, err := io.ReadAll(c)
		if os.IsTimeout(err) {
			t.Errorf("%.20q isn't refused", line)
		}
		if string(data) != "\xff\xff\xff\xff" && len(data) > 0 {
			t.Errorf("%.20q is answered %q", line, data)
		}
		c.Close()
	}
}

func TestFilesStayInTheFolder(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Responder{opts: Options{Dir: dir}}
	for _, name := range []string{"link", "fifo", "../secret", "."} {
		if f, _, err := r.content(&suite.HTTPAnswer{File: name}, http.Header{}); err == nil {
			data, _ := io.ReadAll(f)
			t.Errorf("%s is read: %q", name, data)
		}
	}
	if _, _, err := (&Responder{}).content(&suite.HTTPAnswer{File: "x"}, http.Header{}); err == nil {
		t.Error("a file is read without a folder")
	}
}

func TestBytesAreSentAsTheyAre(t *testing.T) {
	h := http.Header{"Content-Encoding": {"gzip"}}
	body, size, err := (&Responder{}).content(&suite.HTTPAnswer{Data: []byte("\x00\xff")}, h)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(body)
	if err != nil || size != 2 || string(data) != "\x00\xff" || h.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%d bytes, %q, of %q (%v)", size, data, h, err)
	}
}

func FuzzLooksLikeHTTP(f *testing.F) {
	for _, s := range []string{"GET / HTTP/1.1", "PRI * HTTP/2.0", "\x16\x03", " ", "M-SEARCH *", strings.Repeat("A", 100)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		known, http := looksLikeHTTP(data)
		if http && !known || !known && len(data) > maxMethod {
			t.Errorf("%q: known %v, HTTP %v", data, known, http)
		}
		if all, _ := looksLikeHTTP(append(data[:len(data):len(data)], ' ')); !all {
			t.Errorf("%q and a space isn't known", data)
		}
	})
}
