package trust

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// manyRounds is so many that the time of reading can be measured. Reading with few rounds takes less than half of that time.
const manyRounds = 100_000

// value is a DER value: its first byte, and the values or the bytes in it.
type value struct {
	tag    byte
	within []value
	bytes  []byte
}

func (v value) der() []byte {
	content := v.bytes
	for _, w := range v.within {
		content = append(content[:len(content):len(content)], w.der()...)
	}
	head := []byte{v.tag, byte(len(content))}
	if len(content) > 127 {
		head = []byte{v.tag, 0x82, byte(len(content) >> 8), byte(len(content))}
	}
	if len(content) > 127 && len(content) < 256 {
		head = []byte{v.tag, 0x81, byte(len(content))}
	}
	return append(head, content...)
}

func sequence(within ...value) value { return value{tag: 0x30, within: within} }

func octets(text string) value { return value{tag: 0x04, bytes: []byte(text)} }

func marshaled(of any) value {
	der := must(asn1.Marshal(of))
	return value{tag: der[0], bytes: der[2:]}
}

func number(n int) value { return marshaled(n) }

func identifier(arcs ...int) value { return marshaled(asn1.ObjectIdentifier(arcs)) }

// keystores returns files with n rounds, one for each place from which a reader gets the number (RFC 7292 section 4, RFC 8018 sections
// A.4 and A.5, RFC 9579).
func keystores(n int) map[string]value {
	data, encrypted := identifier(1, 2, 840, 113549, 1, 7, 1), identifier(1, 2, 840, 113549, 1, 7, 6)
	explicit := func(v value) value { return value{tag: 0xa0, within: []value{v}} }
	file := func(parts value, more ...value) value {
		return sequence(append([]value{number(3), sequence(data, explicit(value{tag: 0x04, within: []value{parts}}))}, more...)...)
	}
	sha256 := sequence(identifier(1, 2, 840, 113549, 2, 9))
	pbkdf2 := sequence(identifier(1, 2, 840, 113549, 1, 5, 12), sequence(octets("saltsalt"), number(n), number(32), sha256))
	ciphertext := func(algorithm value) value {
		content := sequence(data, algorithm, value{tag: 0x80, bytes: make([]byte, 32)})
		return file(sequence(sequence(encrypted, explicit(sequence(number(0), content)))))
	}
	mac := func(algorithm value, n int) value {
		return file(sequence(), sequence(sequence(algorithm, octets("digest")), octets("salt"), number(n)))
	}
	aes := sequence(identifier(2, 16, 840, 1, 101, 3, 4, 1, 42), octets("0123456789abcdef"))
	return map[string]value{
		"MAC":    mac(sequence(identifier(2, 16, 840, 1, 101, 3, 4, 2, 1)), n),
		"PBMAC1": mac(sequence(identifier(1, 2, 840, 113549, 1, 5, 14), sequence(pbkdf2, sha256)), 1),
		"PBES2":  ciphertext(sequence(identifier(1, 2, 840, 113549, 1, 5, 13), sequence(pbkdf2, aes))),
		"PBE":    ciphertext(sequence(identifier(1, 2, 840, 113549, 1, 12, 1, 3), sequence(octets("saltsalt"), number(n)))),
	}
}

// spellings calls try with a file, and with each variant in which one value is different: of another class, primitive or constructed,
// inside another value, with something before or after it, or missing.
func spellings(file value, try func(value)) {
	try(file)
	var each func(v *value)
	each = func(v *value) {
		was := *v
		for bits := byte(0x20); bits != 0; bits += 0x20 {
			v.tag = was.tag ^ bits
			try(file)
		}
		for _, tag := range []byte{0x02, 0x04, 0x0c, 0x22, 0x24, 0x30, 0x31, 0x80, 0xa0, 0xa4} {
			*v = value{tag: tag, within: []value{was}}
			try(file)
			*v = value{tag: tag, within: was.within, bytes: was.bytes}
			try(file)
		}
		*v = was
		own := v.within
		for i := range own {
			for _, other := range []value{number(1), octets(""), {tag: 0x05}, {tag: 0x02}} {
				v.within = slices.Insert(slices.Clone(own), i, other)
				try(file)
				v.within = append(slices.Clone(own), other)
				try(file)
			}
			v.within = slices.Delete(slices.Clone(own), i, i+1)
			try(file)
		}
		v.within = own
		for i := range own {
			each(&own[i])
		}
	}
	each(&file)
}

// readTime returns how long the reader of keystores takes for a file, the least of several tries. It stops when that is less than
// enough.
func readTime(der []byte, tries int, enough time.Duration) time.Duration {
	best := time.Duration(math.MaxInt64)
	for range tries {
		began := time.Now()
		for _, password := range passwords {
			_, _ = pkcs12.DecodeTrustStore(der, password)
		}
		if best = min(best, time.Since(began)); best < enough {
			break
		}
	}
	return best
}

// TestRoundsOfAnySpelling checks that a file in which rounds finds few rounds is read fast, in all variants of the file.
func TestRoundsOfAnySpelling(t *testing.T) {
	for name, file := range keystores(manyRounds) {
		t.Run(name, func(t *testing.T) {
			long := readTime(file.der(), 3, 0) / 2
			if short := readTime(keystores(1)[name].der(), 10, long); short >= long {
				t.Fatalf("reading takes %s with %d rounds, and %s with one", 2*long, manyRounds, short)
			}
			all, worked := 0, 0
			spellings(file, func(v value) {
				all++
				der := v.der()
				found := rounds(der, 0)
				if found >= manyRounds && worked > 0 {
					return
				}
				if took := readTime(der, 10, long); took >= long {
					worked++
					if found < manyRounds {
						t.Fatalf("rounds finds %d in %x, which takes %s to read", found, der, took)
					}
				}
			})
			if all < 100 || worked == 0 {
				t.Errorf("there are %d variants, and %d take long; want at least 100 and 1", all, worked)
			}
		})
	}
}

// FuzzRounds is TestRoundsOfAnySpelling for any other bytes.
func FuzzRounds(f *testing.F) {
	for _, file := range keystores(10 * manyRounds) {
		f.Add(file.der())
	}
	long := readTime(keystores(manyRounds)["PBMAC1"].der(), 3, 0)
	f.Fuzz(func(t *testing.T, der []byte) {
		if found := rounds(der, 0); found < manyRounds/100 {
			if took := readTime(der, 10, long); took >= long {
				t.Errorf("rounds finds %d in %x, which takes %s to read", found, der, took)
			}
		}
	})
}

// TestRoundsOfCertificates checks that the numbers in certificates don't count as rounds, so that a store with many certificates is read.
func TestRoundsOfCertificates(t *testing.T) {
	var certificates []*x509.Certificate
	for i := range 30 {
		made := certify(t, fmt.Sprint(i), true, nil)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(math.MaxInt32 + int64(i)), Subject: pkix.Name{CommonName: fmt.Sprint(i)},
			NotBefore: made.cert.NotBefore, NotAfter: made.cert.NotAfter,
		}
		cert, err := x509.ParseCertificate(must(x509.CreateCertificate(nil, template, template, made.key.Public(), made.key)))
		if err != nil {
			t.Fatal(err)
		}
		certificates = append(certificates, cert)
	}
	for password, encoder := range map[string]*pkcs12.Encoder{"": pkcs12.Passwordless, "changeit": pkcs12.Modern2026} {
		file := must(encoder.EncodeTrustStore(certificates, password))
		if out, changed := New([]byte(certify(t, "Test", true, nil).pem)).Add(file); !changed || bytes.Equal(out, file) {
			t.Errorf("password %q: the file isn't changed; rounds finds %d", password, rounds(file, 0))
		}
	}
}
