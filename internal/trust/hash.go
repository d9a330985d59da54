package trust

import (
	"crypto/sha1" //nolint:gosec // OpenSSL's own
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"strings"
)

// HashName returns the name under which OpenSSL looks for the authority in a folder of certificates. It is the hash of the subject in
// OpenSSL's canonical form (X509_NAME_hash(3)), in which text is UTF-8, in lower case, with one space between words. HashName
// returns "" if the authority isn't a certificate, or if its subject isn't simple text.
func (a *Authority) HashName() string {
	cert, err := x509.ParseCertificate(a.der)
	if err != nil {
		return ""
	}
	var subject pkix.RDNSequence
	if _, err := asn1.Unmarshal(cert.RawSubject, &subject); err != nil {
		return ""
	}
	var canonical []byte
	for _, set := range subject {
		for _, attribute := range set {
			text, ok := attribute.Value.(string)
			if !ok || len(set) != 1 {
				return ""
			}
			value := asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(lower(strings.Join(strings.Fields(text), " ")))}
			encoded, err := asn1.MarshalWithParams([]struct {
				Type  asn1.ObjectIdentifier
				Value asn1.RawValue
			}{{attribute.Type, value}}, "set")
			if err != nil {
				return ""
			}
			canonical = append(canonical, encoded...)
		}
	}
	sum := sha1.Sum(canonical) //nolint:gosec // OpenSSL's own
	return fmt.Sprintf("%08x.0", binary.LittleEndian.Uint32(sum[:]))
}

// lower maps ASCII letters to lower case, and keeps all other characters, as
// OpenSSL does.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
