package trust

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format's own
	"crypto/x509"
	"encoding/binary"
	"unicode/utf16"

	"software.sslmate.com/src/go-pkcs12"
)

// Java has keystores in two formats: JKS (sun.security.provider.JavaKeyStore) and PKCS#12 (RFC 7292), which since Java 18 needs no
// password. Java detects the format of a file.

// alias is the authority's name in a keystore.
const alias = "mayfly-test-authority"

// triesOfPasswords is how often a PKCS#12 file is read at most: the reader tries the empty password in two forms.
const triesOfPasswords = 3

// passwords are the usual passwords of keystores of authorities: Java's default, and none.
var passwords = []string{"changeit", ""}

const (
	jksMagic   = 0xfeedfeed
	jksVersion = 2
	jksHeader  = 12 // magic, version and number of entries
	jksTrusted = 2  // the type of an entry that is a certificate
)

// Keystore returns a JKS keystore that holds only the authority.
func (a *Authority) Keystore() []byte {
	head := binary.BigEndian.AppendUint32(nil, jksMagic)
	head = binary.BigEndian.AppendUint32(head, jksVersion)
	return a.jks(binary.BigEndian.AppendUint32(head, 0), passwords[0])
}

// jks returns a JKS keystore with the authority added. entries is the keystore
// without its digest.
func (a *Authority) jks(entries []byte, password string) []byte {
	out := bytes.Clone(entries)
	binary.BigEndian.PutUint32(out[8:], binary.BigEndian.Uint32(out[8:])+1)
	text := func(s string) {
		out = binary.BigEndian.AppendUint16(out, uint16(len(s)))
		out = append(out, s...)
	}
	out = binary.BigEndian.AppendUint32(out, jksTrusted)
	text(alias)
	out = binary.BigEndian.AppendUint64(out, 0) // the time of creation
	text("X.509")
	out = binary.BigEndian.AppendUint32(out, uint32(len(a.der)))
	out = append(out, a.der...)
	return append(out, jksDigest(out, password)...)
}

// jksDigest returns the digest at the end of a JKS keystore.
func jksDigest(entries []byte, password string) []byte {
	h := sha1.New() //nolint:gosec // the format's own
	for _, unit := range utf16.Encode([]rune(password)) {
		h.Write(binary.BigEndian.AppendUint16(nil, unit))
	}
	h.Write([]byte("Mighty Aphrodite"))
	h.Write(entries)
	return h.Sum(nil)
}

// addToKeystore is Add for keystores.
func (a *Authority) addToKeystore(file []byte) ([]byte, bool) {
	switch {
	case len(file) >= jksHeader+sha1.Size && binary.BigEndian.Uint32(file) == jksMagic && binary.BigEndian.Uint32(file[4:]) == jksVersion:
		entries, digest := file[:len(file)-sha1.Size], file[len(file)-sha1.Size:]
		for _, password := range passwords {
			if bytes.Equal(jksDigest(entries, password), digest) {
				return a.jks(entries, password), true
			}
		}
	case file[0] == 0x30: // a SEQUENCE (X.690 section 8.9)
		return a.addToPKCS12(file)
	}
	return file, false
}

// addToPKCS12 is addToKeystore for PKCS#12. It does nothing if reading the file would exceed maxRounds.
func (a *Authority) addToPKCS12(file []byte) ([]byte, bool) {
	own, err := x509.ParseCertificate(a.der)
	if err != nil {
		return file, false
	}
	n := triesOfPasswords * rounds(file, 0)
	if a.rounds+n > maxRounds {
		return file, false
	}
	a.rounds += n
	for _, password := range passwords {
		certificates, err := pkcs12.DecodeTrustStore(file, password)
		if err != nil {
			continue
		}
		encoder := pkcs12.Modern2023
		if password == "" {
			encoder = pkcs12.Passwordless
		}
		if out, err := encoder.EncodeTrustStore(append(certificates, own), password); err == nil {
			return out, true
		}
	}
	return file, false
}
