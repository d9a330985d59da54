package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/atomicfile"
)

// tls returns the server's certificate, and its fingerprint.
func (f *serverFlags) tls() (*tls.Config, string, error) {
	certificate, key := f.certificate, f.key
	if certificate == "" {
		dir := filepath.Join(f.data, "tls")
		certificate, key = filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")
		if _, err := os.Stat(certificate); errors.Is(err, fs.ErrNotExist) {
			if err := f.selfSign(dir, certificate, key); err != nil {
				return nil, "", fmt.Errorf("make a certificate: %w", err)
			}
		}
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, "", fmt.Errorf("read the certificate %s and its key %s: %w", certificate, key, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, api.Fingerprint(pair.Certificate[0]), nil
}

// selfSigned is for how long a certificate of our own lasts: clients know it by its fingerprint, and not by an authority.
const selfSigned = 10 * 365 * 24 * time.Hour

// selfSign makes a certificate for the names of this machine and the address of --listen.
func (f *serverFlags) selfSign(dir, certificate, key string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Mayfly's server"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSigned),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if name, err := os.Hostname(); err == nil {
		template.DNSNames = append(template.DNSNames, name)
	}
	if host, _, err := net.SplitHostPort(f.listen); err == nil && host != "" {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	// The certificate is last, since a start with it makes no new one.
	if err := atomicfile.Write(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), atomicfile.Options{Durable: true}); err != nil {
		return err
	}
	return atomicfile.Write(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), atomicfile.Options{Durable: true, Mode: 0o644})
}
