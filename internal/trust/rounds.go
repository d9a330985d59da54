package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"math"
	"math/big"
)

// maxRounds is how often passwords are hashed at most for all keystores of a start together, which takes seconds of processor time.
// Java uses 10,000 rounds for each keystore; it used 100,000 earlier.
const maxRounds = 5_000_000

// maxNested is the largest depth of the values in a keystore. Real keystores have less than half of it.
const maxNested = 32

// rounds returns an upper bound of how often a password is hashed to read a PKCS#12 file. The file says so itself, up to 2^31 for each
// of its parts (RFC 7292 section 4, MacData; RFC 8018 appendix A). Readers differ in the INTEGERs that they use as such a number,
// so rounds adds all of them, at any place and of any class. The other INTEGERs of a keystore are small, except those of
// certificates, which are left out.
func rounds(der []byte, depth int) int64 {
	if depth > maxNested {
		return maxRounds + 1
	}
	total := int64(0)
	for len(der) > 0 && total <= maxRounds {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return total // a keystore must be DER, so readers stop here too
		}
		if v.Tag == asn1.TagInteger {
			n := new(big.Int).SetBytes(v.Bytes)
			if !n.IsInt64() || n.Int64() > math.MaxInt32 {
				return maxRounds + 1
			}
			total += n.Int64()
		}
		if v.IsCompound || isWrapped(v.Bytes) {
			total += rounds(v.Bytes, depth+1)
		}
		der = rest
	}
	return total
}

// isWrapped reports whether the contents of a primitive value are exactly one other value, such as in an OCTET STRING around the parts of
// a keystore. A salt or a ciphertext hardly ever looks like that by accident. isWrapped returns false for a certificate, which has no
// rounds. No reader mistakes it for a part of a keystore: those begin with an OBJECT IDENTIFIER, a certificate with a version or
// a serial number.
func isWrapped(contents []byte) bool {
	var v asn1.RawValue
	if rest, err := asn1.Unmarshal(contents, &v); err != nil || len(rest) > 0 {
		return false
	}
	_, err := x509.ParseCertificate(contents)
	return err != nil
}
