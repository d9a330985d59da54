package trust

import (
	"encoding/asn1"
	"math"
	"math/big"
)

// maxRounds bounds how often passwords are hashed for the keystores of a start, all together: seconds of a processor. Java
// writes 10,000 rounds a keystore, and has written 100,000.
const maxRounds = 5_000_000

// maxNested bounds how deep the values of a keystore are nested; those of real ones are less than half of it.
const maxNested = 32

// rounds are how often a password is hashed to read a PKCS#12 file, which says so itself, up to 2^31 for each of its parts:
// the INTEGER that follows a salt, which is an OCTET STRING (RFC 7292 section 4, MacData; RFC 8018 appendix A). Readers
// look at the numbers of tags and not at their classes, and take contents from any value, so this does too.
func rounds(der []byte, depth int) int64 {
	if depth > maxNested {
		return maxRounds + 1
	}
	total := int64(0)
	afterSalt := false
	for len(der) > 0 && total <= maxRounds {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return total // what isn't DER isn't read as a keystore either
		}
		if afterSalt && v.Tag == asn1.TagInteger && !v.IsCompound {
			n := new(big.Int).SetBytes(v.Bytes)
			if !n.IsInt64() || n.Int64() > math.MaxInt32 {
				return maxRounds + 1
			}
			total += n.Int64()
		}
		total += rounds(v.Bytes, depth+1)
		afterSalt, der = v.Tag == asn1.TagOctetString && !v.IsCompound, rest
	}
	return total
}
