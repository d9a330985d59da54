package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// newCertificate makes a certificate for this machine.
func newCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestFingerprintChanges has the server have another certificate than the one that is known. The token isn't sent.
func TestFingerprintChanges(t *testing.T) {
	asked := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write([]byte(`{"runs":[]}`)) // the client says so
	}))
	certificate := newCertificate(t)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	known, is := Fingerprint(newCertificate(t).Certificate[0]), Fingerprint(certificate.Certificate[0])
	for _, c := range []struct{ fingerprint, want string }{
		{is, ""},
		{known, server.URL + ": the server's certificate has the fingerprint " + is + ", not " + known +
			": it was replaced, or something is between here and the server; if you know why, log in again: mayfly login " + server.URL},
	} {
		asked = 0
		client, err := NewClient(ClientOptions{Server: server.URL, Token: "t", Fingerprint: c.fingerprint})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Runs(t.Context(), "p", RunFilter{})
		client.Close()
		if c.want == "" {
			if err != nil || asked != 1 {
				t.Errorf("with its fingerprint: %v, asked %d times", err, asked)
			}
			continue
		}
		var coder run.Coder
		if err == nil || err.Error() != c.want || asked != 0 || !errors.As(err, &coder) || coder.Code() != run.CodeServerRefused {
			t.Errorf("asked %d times: %v\nwant %s", asked, err, c.want)
		}
	}
}
