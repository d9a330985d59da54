// Package trust adds an authority to the certificates that programs trust, in the forms in which tools have them: PEM
// (RFC 7468) as a file or within another text, base64 of it, as kubeconfigs have it, and Java's keystores.
//
// What comes in is hostile: it is the image's, the tool's or a secret's. What isn't understood stays as it is.
package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// Authority is a certificate to be trusted.
// It isn't for several goroutines.
type Authority struct {
	der    []byte
	body   []string // the base64 of it, in lines
	rounds int64    // of hashing that were spent on keystores; see maxRounds
}

// New reads an authority's certificate, in PEM. It is nil when that has none.
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

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.der})
}

// lineLength is that of a line of PEM (RFC 7468 section 2).
const lineLength = 64

const (
	begin = "-----BEGIN CERTIFICATE-----"
	end   = "-----END CERTIFICATE-----"
	// encodedBegin is how begin looks in base64.
	encodedBegin = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"
	// lineBreak ends a line of PEM: in a file, indented in YAML, or escaped in JSON, however often; some have it all on one line.
	lineBreak = `(?:\r?\n[ \t]*|(?:\\+r)?\\+n|[ \t]+)`
)

var (
	breakAhead = lazyregexp.New("^" + lineBreak)
	encodedPEM = lazyregexp.New(encodedBegin + `[A-Za-z0-9+/]+={0,2}`)
	onlyBase64 = lazyregexp.New(`^[A-Za-z0-9+/\r\n]+={0,2}[\r\n]*$`)
)

// Add returns a file with the authority beside the others that it trusts. It says false, and returns the file as it is,
// where there are none.
func (a *Authority) Add(file []byte) ([]byte, bool) {
	if bytes.IndexByte(file, 0) >= 0 { // a program may have PEM in it too, and its bytes have to stay where they are
		return a.addToKeystore(file)
	}
	return a.AddToText(file)
}

// AddToText is Add for what isn't a keystore.
func (a *Authority) AddToText(text []byte) ([]byte, bool) {
	if out, changed := a.addToParts(text); changed {
		return out, true
	}
	// The whole may be in base64, as files are handed over in variables.
	if len(text) < len(begin) || !onlyBase64().Match(text) {
		return text, false
	}
	decoded, err := base64.StdEncoding.DecodeString(string(text)) // which passes over line breaks
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

// addToParts adds to what of a text is PEM, or PEM in base64.
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
	encoded   []byte
}

// nextBlock finds the first certificate of a text from a place on.
func nextBlock(text []byte, from int) (block, bool) {
	for {
		i := bytes.Index(text[from:], []byte(begin))
		if i < 0 {
			return block{}, false
		}
		b := block{from: from + i}
		from = b.from + len(begin)
		// First, so that the end is looked for once.
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

// maxBreak bounds how far a line is indented.
const maxBreak = 1000

// addToPEM adds to each group of certificates of which one is an authority: a PEM file is one group; within another text,
// certificates that directly follow one another are.
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
		// A file with a key is who the tool is, and not whom it trusts.
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

// inText says whether the certificate stands within another text.
func (b *block) inText() bool {
	return string(b.lineBreak) != "\n" && string(b.lineBreak) != "\r\n"
}

// lines is the authority, after a certificate whose lines end so.
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

// isAuthority says whether the base64 of a certificate is one that others may be trusted for, or that is trusted itself:
// one that nobody else has signed.
func isAuthority(encoded []byte) bool {
	der, err := base64.StdEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return false
	}
	cert, err := x509.ParseCertificate(der)
	return err == nil && (cert.IsCA || bytes.Equal(cert.RawSubject, cert.RawIssuer))
}
