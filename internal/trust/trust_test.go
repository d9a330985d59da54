package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math"
	"math/big"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"software.sslmate.com/src/go-pkcs12"
)

// made is a certificate, which is self-signed or signed by another.
type made struct {
	pem  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func certify(t testing.TB, name string, authority bool, by *made) *made {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: authority, BasicConstraintsValid: true,
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &made{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), cert, key}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func indented(s, by string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n"+by) }

func TestAdd(t *testing.T) {
	test, root, other := certify(t, "Test", true, nil), certify(t, "Root", true, nil), certify(t, "Other", true, nil)
	pinned := certify(t, "Pinned", false, nil)
	client := certify(t, "Client", false, root)
	escaped := func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) }
	oneLine := func(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", " ") }
	const key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
	for name, c := range map[string]struct{ file, want string }{
		"a bundle":                    {"# one\n" + root.pem + "\n# two\n" + other.pem, "# one\n" + root.pem + "\n# two\n" + other.pem + test.pem},
		"no line break at the end":    {strings.TrimSpace(root.pem), root.pem + strings.TrimSpace(test.pem)},
		"Windows line breaks":         {strings.ReplaceAll(root.pem, "\n", "\r\n"), strings.ReplaceAll(root.pem+test.pem, "\n", "\r\n")},
		"a server's own":              {pinned.pem, pinned.pem + test.pem},
		"a client's":                  {client.pem, client.pem},
		"a client's, with its signer": {client.pem + root.pem, client.pem + root.pem + test.pem},
		"a key and its signer":        {key + client.pem + root.pem, key + client.pem + root.pem},
		"no certificate":              {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
		"no end":                      {root.pem[:200], root.pem[:200]},
		"in JSON":                     {`{"ca": "` + escaped(root.pem) + `", "other": "` + escaped(other.pem) + `"}`, `{"ca": "` + escaped(root.pem+test.pem) + `", "other": "` + escaped(other.pem+test.pem) + `"}`},
		"in JSON in JSON":             {strings.ReplaceAll(root.pem, "\n", `\\n`), strings.ReplaceAll(root.pem+test.pem, "\n", `\\n`)},
		"in YAML":                     {"a:\n  ca: |\n    " + indented(root.pem, "    ") + "\n  key: |\n    " + indented(key, "    ") + "\n", "a:\n  ca: |\n    " + indented(root.pem+test.pem, "    ") + "\n  key: |\n    " + indented(key, "    ") + "\n"},
		"on one line":                 {oneLine(root.pem), oneLine(root.pem + test.pem)},
		"a kubeconfig":                {"certificate-authority-data: " + b64(root.pem) + "\nclient-certificate-data: " + b64(client.pem) + "\n", "certificate-authority-data: " + b64(root.pem+test.pem) + "\nclient-certificate-data: " + b64(client.pem) + "\n"},
		"a kubeconfig in base64":      {b64("ca: "+b64(root.pem)) + "\n", b64("ca: "+b64(root.pem+test.pem)) + "\n"},
		"a bundle in base64":          {b64(root.pem), b64(root.pem + test.pem)},
		"another text in base64":      {b64(strings.Repeat("words ", 20)), b64(strings.Repeat("words ", 20))},
		"a program":                   {"\x7fELF\x00" + root.pem, "\x7fELF\x00" + root.pem},
		"what looks like a keystore":  {"\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x00" + strings.Repeat("x", 20), "\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x00" + strings.Repeat("x", 20)},
		"what looks like another":     {"0\x80\x00", "0\x80\x00"},
		"nothing":                     {"", ""},
	} {
		got, changed := New([]byte(test.pem)).Add([]byte(c.file))
		if c.want == strings.TrimSpace(c.want) {
			got = bytes.TrimSpace(got)
		}
		if string(got) != c.want || changed != (c.want != c.file) {
			t.Errorf("%s: changed %v\n%s\nwant\n%s", name, changed, got, c.want)
		}
	}
	if New([]byte("no certificate")) != nil {
		t.Error("New returns an authority for a text without a certificate")
	}
}

// TestAddedParses checks that the values in YAML and JSON are valid PEM after Add.
func TestAddedParses(t *testing.T) {
	test, root := certify(t, "Test", true, nil), certify(t, "Root", true, nil)
	check := func(how, text string) {
		pool, rest, n := x509.NewCertPool(), []byte(text), 0
		for block, next := pem.Decode(rest); block != nil; block, next = pem.Decode(next) {
			n++
		}
		if !pool.AppendCertsFromPEM([]byte(text)) || n != 2 {
			t.Errorf("%s: got %d certificates in %q, want 2", how, n, text)
		}
	}
	for how, marshal := range map[string]func(any) ([]byte, error){"yaml": yaml.Marshal, "json": json.Marshal} {
		in, err := marshal(map[string]any{"a": []string{root.pem, "x"}})
		if err != nil {
			t.Fatal(err)
		}
		out, changed := New([]byte(test.pem)).Add(in)
		var got map[string][]string
		if err := yaml.Unmarshal(out, &got); err != nil || !changed || len(got["a"]) != 2 || got["a"][1] != "x" {
			t.Fatalf("%s: %v, %v: %s", how, changed, err, out)
		}
		check(how, got["a"][0])
	}
}

// TestKeystores checks that another implementation can read the keystores, with their old passwords.
func TestKeystores(t *testing.T) {
	test, root := certify(t, "Test", true, nil), certify(t, "Root", true, nil)
	a := New([]byte(test.pem))
	for password, encoder := range map[string]*pkcs12.Encoder{"": pkcs12.Passwordless, "changeit": pkcs12.LegacyRC2} {
		file, err := encoder.EncodeTrustStore([]*x509.Certificate{root.cert}, password)
		if err != nil {
			t.Fatal(err)
		}
		out, changed := a.Add(file)
		certs, err := pkcs12.DecodeTrustStore(out, password)
		if err != nil || !changed || len(certs) != 2 || !certs[0].Equal(root.cert) || !certs[1].Equal(test.cert) {
			t.Errorf("PKCS#12 with %q: %v, %d certificates, %v", password, changed, len(certs), err)
		}
	}
	other, err := pkcs12.LegacyRC2.EncodeTrustStore([]*x509.Certificate{root.cert}, "another")
	if err != nil {
		t.Fatal(err)
	}
	if out, changed := a.Add(other); changed || !bytes.Equal(out, other) {
		t.Error("a keystore with another password is changed")
	}
	one := New([]byte(root.pem)).Keystore()
	two, changed := a.Add(one)
	if !changed || !bytes.Equal(two[len(two)-20:], jksDigest(two[:len(two)-20], "changeit")) || two[11] != 2 || !bytes.Contains(two, test.cert.Raw) || !bytes.Contains(two, root.cert.Raw) {
		t.Errorf("JKS: %v, %x", changed, two)
	}
	one[len(one)-1]++
	if _, changed := a.Add(one); changed {
		t.Error("a JKS with another password is changed")
	}
}

// TestAddIsLinear checks that the processor time for almost-PEM grows linearly with its size.
func TestAddIsLinear(t *testing.T) {
	a := New([]byte(certify(t, "Test", true, nil).pem))
	took := func(unit string, size int) time.Duration {
		text := []byte(strings.Repeat(unit, size/len(unit)) + "\n" + end + "\n")
		before := processorTime(t)
		a.Add(text)
		return processorTime(t) - before
	}
	for _, unit := range []string{begin + "x", begin + "\n", begin + end, begin + "\n" + end, encodedBegin} {
		const size, times = 256 << 10, 8
		one, many := time.Hour, time.Hour
		for try := 0; try < 3 || many > 4*times*one && try < 10; try++ { // what else a machine does makes some tries slower, and none faster
			one, many = min(one, took(unit, size)), min(many, took(unit, times*size))
		}
		if many > 4*times*one {
			t.Errorf("%d bytes of repeated %q take %s, and %d times as many take %s", size, unit, one, times, many)
		}
	}
}

// processorTime returns how long this process has had a processor (getrusage(2)): other programs on the machine don't count.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestKeystoreRounds checks that keystores with too many rounds of hashing, alone or together, stay unchanged. The files say how many
// rounds they need.
func TestKeystoreRounds(t *testing.T) {
	root := certify(t, "Root", true, nil)
	keystore := func(iterations int) []byte {
		t.Helper()
		file, err := pkcs12.Modern2023.WithIterations(iterations).EncodeTrustStore([]*x509.Certificate{root.cert}, "changeit")
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	if n := rounds(keystore(3000), 0); n < 3000 || n > 4*3000 {
		t.Errorf("rounds finds %d in a file with 3000 for each part", n)
	}
	a := New([]byte(certify(t, "Test", true, nil).pem))
	a.rounds = maxRounds - triesOfPasswords*3*3000
	for i, want := range []bool{true, false} {
		if _, changed := a.Add(keystore(3000)); changed != want {
			t.Errorf("keystore %d: changed is %v with %d rounds spent, want %v", i, changed, a.rounds, want)
		}
	}
	type parameters struct {
		Salt   []byte
		Rounds *big.Int
	}
	for _, n := range []*big.Int{big.NewInt(math.MaxInt32), new(big.Int).Lsh(big.NewInt(1), 2000)} {
		der, err := asn1.Marshal(struct{ Content []byte }{must(asn1.Marshal(parameters{[]byte("salt"), n}))})
		if err != nil {
			t.Fatal(err)
		}
		if found := rounds(der, 0); found <= maxRounds {
			t.Errorf("rounds finds %d for %s", found, n)
		}
	}
	// Salts of another class, and contents in a value that isn't an OCTET STRING.
	for _, der := range [][]byte{
		{0x30, 10, 0x84, 2, 's', 'a', 0x02, 4, 0x7f, 0xff, 0xff, 0xff},
		{0x0c, 12, 0x30, 10, 0x04, 2, 's', 'a', 0x02, 4, 0x7f, 0xff, 0xff, 0xff},
		{0x80, 12, 0x30, 10, 0x04, 2, 's', 'a', 0x82, 4, 0x7f, 0xff, 0xff, 0xff},
	} {
		if found := rounds(der, 0); found <= maxRounds {
			t.Errorf("rounds finds %d for %x", found, der)
		}
	}
	deep := []byte("x")
	for range 1000 {
		deep = must(asn1.Marshal(deep))
	}
	if found := rounds(deep, 0); found <= maxRounds {
		t.Errorf("rounds finds %d for values that are nested 1000 deep", found)
	}
}

func must(der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return der
}

// TestHashName compares with the output of openssl x509 -subject_hash.
func TestHashName(t *testing.T) {
	for name, want := range map[string]string{"Mayfly test authority": "10f01ec7.0", "  two   Blanks ": "1341b7fe.0", "Ünï": "9f547ca5.0"} {
		if got := New([]byte(certify(t, name, true, nil).pem)).HashName(); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
}

func FuzzAdd(f *testing.F) {
	test := certify(f, "Test", true, nil)
	a := New([]byte(test.pem))
	f.Add([]byte(test.pem))
	f.Add([]byte(b64(test.pem)))
	f.Add(a.Keystore())
	f.Fuzz(func(t *testing.T, file []byte) {
		out, changed := a.Add(file)
		if !changed && !bytes.Equal(out, file) {
			t.Errorf("%q became %q", file, out)
		}
	})
}
