package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"math"
	"math/big"
)

// maxRounds bounds how often passwords are hashed for the keystores of a start, all together: seconds of a processor. Java
// writes 10,000 rounds a keystore, and has written 100,000.
const maxRounds = 5_000_000

// maxNested bounds how deep the values of a keystore are nested; those of real ones are less than half of it.
const maxNested = 32

// rounds bounds how often a password is hashed to read a PKCS#12 file, which says so itself, up to 2^31 for each of its
// parts (RFC 7292 section 4, MacData; RFC 8018 appendix A). It takes every INTEGER for such a number, wherever it stands and
// whatever class it has: readers differ in which of them they take. The others of a keystore are small, except those of its
// certificates, which have no rounds.
func rounds(der []byte, depth int) int64 {
	if depth > maxNested {
		return maxRounds + 1
	}
	total := int64(0)
	for len(der) > 0 && total <= maxRounds {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return total // what isn't DER isn't read as a keystore either
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

// isWrapped reports whether the contents of a primitive value are one other value, as those of an OCTET STRING around a
// keystore's parts are. Those of a salt or of a ciphertext hardly ever are, by accident. A certificate has no rounds, and no
// reader takes it for what has: the parts of a keystore begin with OBJECT IDENTIFIERs, that of a certificate with a version
// or a serial number.
func isWrapped(contents []byte) bool {
	var v asn1.RawValue
	if rest, err := asn1.Unmarshal(contents, &v); err != nil || len(rest) > 0 {
		return false
	}
	_, err := x509.ParseCertificate(contents)
	return err != nil
}
