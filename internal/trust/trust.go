// Package trust adds an authority to the certificates that programs trust, in the forms in which tools have them: PEM (RFC 7468) as a
// file or inside another text, base64 of PEM such as in kubeconfigs, and Java's keystores.
//
// The input is untrusted: it comes from the image, the tool or a secret. The package doesn't change input that it doesn't understand.
package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// Authority is the certificate of an authority that programs should trust. Its methods must not be called from several goroutines at
// once.
type Authority struct {
	der    []byte
	body   []string // the base64 of der, in lines
	rounds int64    // how many rounds of hashing have been spent on keystores; see maxRounds
}

// New parses an authority's certificate in PEM. It returns nil if there is no PEM in text.
func New(text []byte) *Authority {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	encoded := base64.StdEncoding.EncodeToString(block.Bytes)
	a := &Authority{der: block.Bytes}
	for len(encoded) > lineLength {
		a.body = append(a.body, encoded[:lineLength])
		encoded = encoded[lineLength:]
	}
	a.body = append(a.body, encoded)
	return a
}

// PEM returns the authority's certificate in PEM.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.der})
}

// lineLength is the length of a line of PEM (RFC 7468 section 2).
const lineLength = 64

const (
	begin = "-----BEGIN CERTIFICATE-----"
	end   = "-----END CERTIFICATE-----"
	// encodedBegin is begin in base64.
	encodedBegin = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"
	// lineBreak matches the end of a line of PEM: in a file, with an indentation in YAML, or escaped any number of times in JSON.
	// It may also be a space, for PEM on one line.
	lineBreak = `(?:\r?\n[ \t]*|(?:\\+r)?\\+n|[ \t]+)`
)

var (
	breakAhead = lazyregexp.New("^" + lineBreak)
	encodedPEM = lazyregexp.New(encodedBegin + `[A-Za-z0-9+/]+={0,2}`)
	onlyBase64 = lazyregexp.New(`^[A-Za-z0-9+/\r\n]+={0,2}[\r\n]*$`)
)

// Add returns a file with the authority added to the authorities in it. It returns the file unchanged and false if there are none.
func (a *Authority) Add(file []byte) ([]byte, bool) {
	if bytes.IndexByte(file, 0) >= 0 { // a program may contain PEM too, but its bytes must stay in place
		return a.addToKeystore(file)
	}
	return a.AddToText(file)
}

// AddToText is like Add, for a text, which isn't a keystore.
func (a *Authority) AddToText(text []byte) ([]byte, bool) {
	if out, changed := a.addToParts(text); changed {
		return out, true
	}
	// The whole text may be base64, as for files in variables.
	if len(text) < len(begin) || !onlyBase64().Match(text) {
		return text, false
	}
	decoded, err := base64.StdEncoding.DecodeString(string(text)) // which ignores line breaks
	if err != nil || bytes.IndexByte(decoded, 0) >= 0 {
		return text, false
	}
	out, changed := a.addToParts(decoded)
	if !changed {
		return text, false
	}
	encoded := base64.StdEncoding.AppendEncode(nil, out)
	if bytes.HasSuffix(text, []byte("\n")) {
		encoded = append(encoded, '\n')
	}
	return encoded, true
}

// addToParts adds the authority to the parts of a text that are PEM, or base64 of PEM.
func (a *Authority) addToParts(text []byte) ([]byte, bool) {
	changed := false
	if bytes.Contains(text, []byte(encodedBegin)) {
		text = encodedPEM().ReplaceAllFunc(text, func(encoded []byte) []byte {
			decoded, err := base64.StdEncoding.AppendDecode(nil, encoded)
			if err != nil {
				return encoded
			}
			out, ok := a.addToPEM(decoded)
			if !ok {
				return encoded
			}
			changed = true
			return base64.StdEncoding.AppendEncode(nil, out)
		})
	}
	out, ok := a.addToPEM(text)
	return out, changed || ok
}

// block is a certificate in a text.
type block struct {
	from, to  int
	lineBreak []byte // after each of its lines
	encoded   []byte // its base64, without line breaks
}

// nextBlock finds the first certificate of a text after a place.
func nextBlock(text []byte, from int) (block, bool) {
	for {
		i := bytes.Index(text[from:], []byte(begin))
		if i < 0 {
			return block{}, false
		}
		b := block{from: from + i}
		from = b.from + len(begin)
		// Check the line break before searching the end, so that each byte is searched only once.
		if b.lineBreak = breakAhead().Find(text[from:min(from+maxBreak, len(text))]); b.lineBreak == nil {
			continue
		}
		n := bytes.Index(text[from:], []byte(end))
		if n < 0 {
			return block{}, false
		}
		b.to = from + n + len(end)
		b.encoded = bytes.ReplaceAll(text[from:from+n], b.lineBreak, nil)
		return b, true
	}
}

// maxBreak is the largest length of a line break with its indentation.
const maxBreak = 1000

// addToPEM adds the authority to each group of certificates that contains an authority. All certificates of a PEM file are one group;
// in another text, those that directly follow one another are.
func (a *Authority) addToPEM(text []byte) ([]byte, bool) {
	var out []byte
	copied, trusted := 0, false
	b, ok := nextBlock(text, 0)
	for ok {
		trusted = trusted || isAuthority(b.encoded)
		next, more := nextBlock(text, b.to)
		if more && (!b.inText() || len(bytes.ReplaceAll(text[b.to:next.from], b.lineBreak, nil)) == 0) {
			b = next
			continue
		}
		// A file with a private key identifies the tool; it doesn't say whom the tool trusts.
		if trusted && (b.inText() || !bytes.Contains(text, []byte("PRIVATE KEY-----"))) {
			out = append(out, text[copied:b.to]...)
			out = append(out, a.lines(b.lineBreak)...)
			copied = b.to
		}
		b, ok, trusted = next, more, false
	}
	if out == nil {
		return text, false
	}
	return append(out, text[copied:]...), true
}

// inText reports whether the certificate is inside another text.
func (b *block) inText() bool {
	return string(b.lineBreak) != "\n" && string(b.lineBreak) != "\r\n"
}

// lines returns the authority for the place after a certificate with a line break.
func (a *Authority) lines(lineBreak []byte) []byte {
	words := append(append([]string{"", begin}, a.body...), end)
	var out []byte
	for i, word := range words {
		if i > 0 {
			out = append(out, lineBreak...)
		}
		out = append(out, word...)
	}
	return out
}

// isAuthority reports whether a certificate, in base64, can make programs trust others or itself: it is a CA, or self-signed.
func isAuthority(encoded []byte) bool {
	der, err := base64.StdEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return false
	}
	cert, err := x509.ParseCertificate(der)
	return err == nil && (cert.IsCA || bytes.Equal(cert.RawSubject, cert.RawIssuer))
}
