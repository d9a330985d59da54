package httpmock

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
)

// Certificates are valid from lifetimeBefore until lifetimeAfter around the time when they are made: longer than any test
// lasts, and with room for a clock that is a little wrong.
const (
	lifetimeBefore = time.Hour
	lifetimeAfter  = 40 * 24 * time.Hour
)

// authority signs the certificates of one test. Its keys exist only in memory.
type authority struct {
	cert *x509.Certificate
	der  []byte
	key  *ecdsa.PrivateKey
	// leafKey is the key of all certificates: nothing here depends on telling servers apart.
	leafKey *ecdsa.PrivateKey

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

func newAuthority() (*authority, error) {
	a := &authority{leaves: map[string]*tls.Certificate{}}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("make the key of the test's authority: %w", err)
	}
	if a.leafKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("make the key of the test's certificates: %w", err)
	}
	template, err := certificate("Mayfly test authority")
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	if a.der, err = x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key); err != nil {
		return nil, fmt.Errorf("make the certificate of the test's authority: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(a.der); err != nil {
		return nil, fmt.Errorf("read the certificate of the test's authority: %w", err)
	}
	return a, nil
}

func certificate(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-lifetimeBefore), NotAfter: now.Add(lifetimeAfter),
	}, nil
}

// pem returns the authority's certificate, which the sandbox must trust, as PEM.
func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.der})
}

// leaf returns a certificate for the given names and addresses.
func (a *authority) leaf(names []string) (*tls.Certificate, error) {
	key := strings.Join(names, " ")
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.leaves[key]; c != nil {
		return c, nil
	}
	template, err := certificate("Mayfly test")
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if asDNSName(name) {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.leafKey.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for %s: %w", key, err)
	}
	c := &tls.Certificate{Certificate: [][]byte{der, a.der}, PrivateKey: a.leafKey}
	if len(a.leaves) >= maxLeaves {
		clear(a.leaves) // the tool chooses the names
	}
	a.leaves[key] = c
	return c, nil
}

// asDNSName reports whether a name, which the tool chooses, can be in a certificate.
func asDNSName(s string) bool {
	return s != "" && len(s) <= 253 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789.-_") == "" &&
		s[0] != '.' && !strings.Contains(s, "..")
}

// config returns the TLS configuration of a connection. Its certificate is for the name that the client asks for, or for
// what the client dialled if it asks for none.
func (a *authority) config(dialled []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName != "" {
				return a.leaf([]string{strings.ToLower(hello.ServerName)})
			}
			return a.leaf(dialled)
		},
	}
}
