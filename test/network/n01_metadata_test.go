//go:build linux

package network

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	policy "github.com/mayfly-run/mayfly/internal/network"
)

// widest has the policies that allow the most.
var widest = map[string]policy.Policy{"open": open, "a list of everything": everything}

// TestN01_MetadataIsNeverReached dials the metadata services in every form of their addresses.
func TestN01_MetadataIsNeverReached(t *testing.T) {
	l := newLab(t)
	for name, p := range widest {
		t.Run(name, func(t *testing.T) {
			targets := []string{
				"169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[::ffff:a9fe:a9fe]:80",
				"[fd00:ec2::254]:80", "[fd20:ce::254]:80", "168.63.129.16:80", "100.100.100.200:80",
				"[64:ff9b::a9fe:a9fe]:80", "[2002:a9fe:a9fe::1]:80",
				"192.0.0.192:80", "100.96.0.96:80", "[fd00:c1::a9fe:a9fe]:80", "[fd00:42::42]:80", "[fd00:a9fe:a9fe::1]:80",
				"[fd00:100::100:200]:80", "[fd00:ec2::253]:53", "[fec0::a9fe:a9fe]:80",
				"[2001:db8::5efe:a9fe:a9fe]:80", "[2001:db8::200:5efe:a9fe:a9fe]:80", "[2001:0:a9fe:a9fe::f7f7:f7f7]:80", "[2001:0:808:808::5601:5601]:80",
			}
			r := l.with(t).run(p, append([]string{"dial"}, targets...)...)
			r.refused(t, targets...)
			r.denied(t, "tcp", "169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "168.63.129.16", "100.100.100.200", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
				"192.0.0.192", "100.96.0.96", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:a9fe:a9fe::1", "fd00:100::100:200", "fd00:ec2::253", "fec0::a9fe:a9fe",
				"2001:db8::5efe:a9fe:a9fe", "2001:db8::200:5efe:a9fe:a9fe", "2001:0:a9fe:a9fe::f7f7:f7f7", "2001:0:808:808::5601:5601")
			for _, c := range r.connections {
				if c.Suggest != "" {
					t.Errorf("the report suggests %s, but no rule opens this address", c.Suggest)
				}
			}
		})
	}
}

// TestN01_MetadataInDecimalAndOctal gives the address to a C program in the forms that inet_aton(3) accepts.
func TestN01_MetadataInDecimalAndOctal(t *testing.T) {
	l := newLab(t)
	for _, spelling := range []string{"2852039166", "0251.0376.0251.0376", "0xa9fea9fe", "169.254.43518"} {
		r := l.start(l.spec(open, "nc", "-w", "5", spelling, "80")).wait()
		if r.Code == 0 || !strings.Contains(r.stderr, "(169.254.169.254): Connection refused") {
			t.Errorf("%s: status %d, %s", spelling, r.Code, r.stderr)
		}
		r.denied(t, "tcp", "169.254.169.254")
	}
}

// TestN01_MetadataByRedirect follows a redirect to a metadata service from a server that is allowed.
func TestN01_MetadataByRedirect(t *testing.T) {
	i, l := newInternet(t), newLab(t)
	var listener net.Listener
	var err error
	i.inside(func() { listener, err = net.Listen("tcp", server4+":80") })
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.RedirectHandler("http://169.254.169.254/latest/meta-data/", http.StatusFound), ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	url := "http://" + server4 + "/"
	r := l.run(open, "get", url)
	r.refused(t, url)
	r.denied(t, "tcp", "169.254.169.254")
	if c := r.connection("tcp", server4); c == nil || !c.Allowed || c.RxBytes == 0 {
		t.Errorf("the redirect itself: %+v", c)
	}
}

// TestN01_MetadataByName looks up a name for which the host's name server has the address of a metadata service.
func TestN01_MetadataByName(t *testing.T) {
	i, l := newInternet(t), newLab(t)
	i.nameServer(map[string][]string{"metadata.example": {"169.254.169.254"}})
	var r result
	i.withNameServer(func() *live { return l.start(l.spec(open, "client", "dial", "metadata.example:80")) }, &r)
	r.refused(t, "metadata.example:80")
	r.denied(t, "tcp", "169.254.169.254")
	if c := r.connection("tcp", "169.254.169.254"); c != nil && c.Host != "metadata.example" {
		t.Errorf("report %+v", c)
	}
}
