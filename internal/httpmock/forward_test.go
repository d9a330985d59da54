package httpmock

import (
	"compress/gzip"
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
)

// origin starts a server that stands for one of the real network.
func origin(t *testing.T, tls bool) (s *httptest.Server, port uint16) {
	t.Helper()
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Host", r.Host)
		if v := r.Header.Get("X-Secret-Hop"); v != "" {
			w.Header().Set("X-Connection", v)
		}
		switch r.URL.Path {
		case "/zip":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, "zipped")
			_ = z.Close()
		case "/there":
			http.Redirect(w, r, "/here", http.StatusFound)
		case "/large":
			_, _ = w.Write(make([]byte, maxForwarded+1))
		default:
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI()+" "+string(body))
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, uint16(s.Listener.Addr().(*net.TCPAddr).Port)
}

func listPolicy(rules ...network.Rule) network.Policy {
	return network.Policy{Mode: network.ModeList, Egress: rules}
}

func TestForward(t *testing.T) {
	_, port := origin(t, false)
	f := NewForward(listPolicy(network.Rule{Host: network.HostName}), nil)
	b := listenWith(t, Options{Forward: f, Mocks: mocks(t, "  - {path: /mocked, body: mocked}\n")}, engine.MockedConnection{Names: []string{network.HostName}, Address: "198.19.0.1", Port: port})
	base := "http://127.0.0.1:" + b.port
	host := network.HostName + ":" + strconv.Itoa(int(port))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-d", "hello", "-w", " %header{x-host}", base + "/a?b=c%20d"}, "POST /a?b=c%20d hello " + host},
		{[]string{base + "/mocked"}, "mocked"},
		{[]string{"--compressed", base + "/zip"}, "zipped"},
		{[]string{"-w", "%{http_code} %header{location}", "-o", "/dev/null", base + "/there"}, "302 /here"},
		{[]string{"-I", "-o", "/dev/null", "-w", "%{http_code}", base + "/a"}, "200"},
		{[]string{"-H", "Connection: X-Secret-Hop", "-H", "X-Secret-Hop: yes", "-w", "%header{x-connection}", base + "/a"}, "GET /a "},
		{[]string{"-o", "/dev/null", "-w", "%{size_download}", base + "/large"}, strconv.Itoa(maxForwarded + 1)},
	} {
		out, status := b.program(t, "curl", append([]string{"-sS", "-H", "Host: " + host}, c.args...)...)
		if out != c.want || status != 0 {
			t.Errorf("%s: status %d, %q, want %q", c.args, status, out, c.want)
		}
	}
	all := f.Exchanges()
	if len(all) != 6 {
		t.Fatalf("%d exchanges are recorded, want 6", len(all))
	}
	if e := all[0]; e.URL != "http://"+host+"/a?b=c%20d" || string(e.Body) != "POST /a?b=c%20d hello" || e.Status != 200 || e.Method != http.MethodPost {
		t.Errorf("recorded as %+v", e)
	}
	if e := all[1]; string(e.Body) != "zipped" || e.Headers.Get("Content-Encoding") != "" {
		t.Errorf("recorded as %+v", e)
	}
	if e := all[5]; !e.Truncated {
		t.Errorf("%d bytes of a large answer are recorded, and it isn't marked as truncated", len(e.Body))
	}
	for _, r := range b.Requests() {
		if r.Problem != "" || r.Mock == "" {
			t.Errorf("request %+v", r)
		}
	}
}

// TestForwardJudgesTheAddress checks that a recording doesn't reach what the tool's own network doesn't allow, whatever
// address a name has.
func TestForwardJudgesTheAddress(t *testing.T) {
	_, port := origin(t, false)
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	for name, c := range map[string]struct {
		policy network.Policy
		about  engine.MockedConnection
		leads  []netip.Addr
		want   string
	}{
		"a name to loopback":  {network.Policy{Mode: network.ModeOpen}, engine.MockedConnection{Names: []string{"a.example.com"}}, loopback, "127.0.0.1 is a loopback destination"},
		"a name to metadata":  {network.Policy{Mode: network.ModeOpen}, engine.MockedConnection{Names: []string{"a.example.com"}}, []netip.Addr{netip.MustParseAddr("169.254.169.254")}, "link-local"},
		"mapped":              {network.Policy{Mode: network.ModeOpen}, engine.MockedConnection{Names: []string{"a.example.com"}}, []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}, "loopback"},
		"a name to a private": {listPolicy(network.Rule{Host: "a.example.com"}), engine.MockedConnection{Names: []string{"a.example.com"}}, []netip.Addr{netip.MustParseAddr("10.1.2.3")}, "resolves to the private address 10.1.2.3"},
		"another name":        {listPolicy(network.Rule{Host: "a.example.com"}), engine.MockedConnection{Names: []string{"b.example.com"}}, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, "no egress rule allows b.example.com"},
		"an address":          {network.Policy{Mode: network.ModeOpen}, engine.MockedConnection{Address: "127.0.0.1"}, nil, "loopback"},
		"this machine":        {network.Policy{Mode: network.ModeOpen}, engine.MockedConnection{Names: []string{network.HostName}}, nil, "only an egress rule that names it opens"},
		"nothing":             {network.Policy{Mode: network.ModeNone}, engine.MockedConnection{Address: "192.0.2.1"}, nil, "mode none"},
		"the sandbox itself":  {network.Policy{Mode: network.ModeOpen}, engine.MockedConnection{Address: "127.0.0.1", Loopback: true}, nil, "of the sandbox's own loopback"},
	} {
		f := NewForward(c.policy, nil)
		f.lookup = func(context.Context, string) ([]netip.Addr, error) { return c.leads, nil }
		c.about.Port = port
		b := listenWith(t, Options{Forward: f}, c.about)
		out, status := b.program(t, "curl", "-sS", "http://127.0.0.1:"+b.port+"/a")
		if status == 0 || len(f.Exchanges()) != 0 {
			t.Errorf("%s: curl got %q, want a failure", name, out)
		}
		if r := b.last(t); !strings.Contains(r.Problem, c.want) || !strings.Contains(r.Problem, "can't be recorded") {
			t.Errorf("%s: got %s, want %s", name, r.Problem, c.want)
		}
	}
}

// TestForwardToAnOwnAddress checks that the machine's own addresses are recognized, which only network.HostName may reach.
func TestForwardToAnOwnAddress(t *testing.T) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range own {
		a := netip.MustParsePrefix(o.String()).Addr()
		if !isOwn(a.Unmap()) {
			t.Errorf("%s isn't recognized as this machine's", a)
		}
	}
	if isOwn(netip.MustParseAddr("192.0.2.1")) {
		t.Error("192.0.2.1 is treated as this machine's")
	}
}

// TestForwardVerifiesTLS checks that a recording verifies certificates.
func TestForwardVerifiesTLS(t *testing.T) {
	server, port := origin(t, true)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for name, c := range map[string]struct {
		roots *x509.CertPool
		host  string
		want  string
	}{
		"trusted":      {roots, "example.com", ""},
		"another name": {roots, "other.example.org", "certificate is valid for example.com"},
		"untrusted":    {nil, "example.com", "unknown authority"},
	} {
		f := NewForward(listPolicy(network.Rule{Host: network.HostName}), c.roots)
		b := listenWith(t, Options{Forward: f}, engine.MockedConnection{Names: []string{network.HostName}, Port: port})
		host := c.host + ":" + strconv.Itoa(int(port))
		out, status := b.program(t, "curl", "-sS", "--connect-to", host+":127.0.0.1:"+b.port, "https://"+host+"/a")
		if c.want == "" {
			if status != 0 || out != "GET /a " || len(f.Exchanges()) != 1 {
				t.Errorf("%s: status %d, %q", name, status, out)
			}
			continue
		}
		if r := b.last(t); status == 0 || !strings.Contains(r.Problem, c.want) {
			t.Errorf("%s: status %d, %s", name, status, r.Problem)
		}
	}
}
