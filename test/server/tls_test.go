package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
)

// certificate writes a certificate of this machine and its key, and returns its fingerprint.
func (s *site) certificate(file, key string) (fingerprint string) {
	s.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		s.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{file: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return api.Fingerprint(der)
}

// TestCertificate gives the server a certificate, and then another one: who knows the first refuses it until they log in again.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	file, key := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	first := (&site{t: t}).certificate(file, key)
	s := newServer(t, "--tls-cert", file, "--tls-key", key)
	if _, err := os.Stat(filepath.Join(s.data, "tls")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the server has made a certificate of its own: %v", err)
	}
	contexts := filepath.Join(s.home, "contexts.json")
	if info, err := os.Stat(contexts); err != nil || info.Mode() != 0o600 {
		t.Errorf("the contexts have the mode %v, %v", info.Mode(), err)
	}
	if text, err := os.ReadFile(contexts); err != nil || !strings.Contains(string(text), first) {
		t.Errorf("the contexts don't have the fingerprint %s: %s, %v", first, text, err)
	}
	s.must("runs")
	terminate(s.process)
	second := s.certificate(file, key)
	s.start()
	want := "mayfly: " + s.url + ": the server's certificate has the fingerprint " + second + ", not " + first +
		": it was replaced, or something is between here and the server; if you know why, log in again: mayfly login " + s.url + "\n"
	if a := s.run("runs"); a.status != 125 || a.err != want || a.out != "" {
		t.Errorf("with another certificate: %+v\nwant %s", a, want)
	}
	s.must("login", s.url, "--token-file", filepath.Join(s.data, "admin-token"))
	s.must("runs")
	if a := s.run("server", "--data", t.TempDir(), "--tls-cert", file); a.status == 0 || !strings.Contains(a.err, "tls-key") {
		t.Errorf("a certificate without its key: %+v", a)
	}
	other := filepath.Join(dir, "other.key")
	s.certificate(filepath.Join(dir, "other.crt"), other)
	if a := s.run("server", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--tls-cert", file, "--tls-key", other); a.status == 0 ||
		!strings.Contains(a.err, "read the certificate "+file+" and its key "+other) {
		t.Errorf("a certificate with another one's key: %+v", a)
	}
}
