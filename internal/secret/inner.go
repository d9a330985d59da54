package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// addInner adds the parts of a text that programs extract and print: the passwords at known places of some forms of text, and the
// decoded text if the value is base64 of text, such as the user and password of a registry.
func (c *collector) addInner(value []byte, depth int) {
	c.addPasswords(value, depth)
	flat := strings.NewReplacer("\n", "", "\r", "", "-", "+", "_", "/").Replace(string(bytes.TrimSpace(value)))
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(flat, "="))
	if err != nil || len(raw) < MinMasked || !isText(raw) {
		return
	}
	c.add(raw, depth+1)
	if m := userPassword().FindSubmatch(raw); m != nil {
		c.add(m[1], depth+1)
	}
}

// addPasswords adds the passwords in a text.
func (c *collector) addPasswords(value []byte, depth int) {
	for _, password := range passwordsIn(strings.TrimSpace(string(value))) {
		if password = strings.TrimSpace(password); classify("password", password) == alone && len(password) < len(value) {
			c.add([]byte(password), depth+1)
		}
	}
}

var (
	userPassword = lazyregexp.New(`^[\w.@$+-]*:(\S+)$`)
	// hostPassword matches a line of .pgpass: host, port, database, user and password (PostgreSQL documentation, section 34.16).
	hostPassword = lazyregexp.New(`^[^:\s]+:(?:\d+|\*):[^:]+:[^:]+:(\S+)$`)
	headerLine   = lazyregexp.New(`^([\w-]+): *(\S[^\n]*)$`)
	// machinePassword matches an entry of .netrc, whose words may be on one line or several (netrc(5)).
	machinePassword = lazyregexp.New(`(?m)^\s*(?:machine\s+\S+|default)(?:\s+(?:login|account)\s+\S+)*\s+password\s+("[^"]*"|\S+)`)
)

// passwordsIn returns the passwords in a text, if it has one of the forms with passwords at known places.
func passwordsIn(text string) []string {
	if strings.HasPrefix(strings.TrimPrefix(text, "\ufeff"), "<") {
		return xmlPasswords(text)
	}
	var out []string
	if password, ok := credentialsOf(text); ok {
		out = append(out, password)
	}
	if m := headerLine().FindStringSubmatch(text); m != nil && isPassword(m[1], m[2]) {
		out = append(out, m[2])
	}
	if m := hostPassword().FindStringSubmatch(text); m != nil {
		out = append(out, m[1], strings.NewReplacer(`\:`, ":", `\\`, `\`).Replace(m[1]))
	}
	for _, m := range machinePassword().FindAllStringSubmatch(text, -1) {
		out = append(out, strings.Trim(m[1], `"`))
	}
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		return append(out, urlPasswords(u)...)
	}
	return append(out, pairPasswords(text)...)
}

// urlPasswords returns the password of a URL, and the values in its query whose names say that they are secret.
func urlPasswords(u *url.URL) []string {
	var out []string
	if password, ok := u.User.Password(); ok {
		out = append(out, password)
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if !isPassword(key, value) {
			continue
		}
		out = append(out, value)
		if decoded, err := url.QueryUnescape(value); err == nil {
			out = append(out, decoded)
		}
	}
	return out
}

// pairPasswords returns the values of the pairs whose keys name a secret, in a connection string (Server=db;Password=…) or in
// the parameters of PostgreSQL's libpq (host=db password=…).
func pairPasswords(text string) []string {
	end := func(r rune) bool { return r == ';' }
	if !strings.Contains(text, ";") {
		end = func(r rune) bool { return unicode.IsSpace(r) || r == ',' || r == '&' }
	}
	var out []string
	for text != "" {
		key, rest, found := strings.Cut(text, "=")
		if !found {
			break
		}
		if i := strings.LastIndexFunc(key, end); i >= 0 {
			key = strings.TrimLeftFunc(key[i:], end)
		}
		rest = strings.TrimLeft(rest, " ")
		value, after := quotedValue(rest)
		if after < 0 {
			after = strings.IndexFunc(rest, end)
			if after < 0 {
				after = len(rest)
			}
			value = rest[:after]
		}
		if isPassword(key, value) {
			out = append(out, value)
		}
		text = rest[after:]
	}
	return out
}

// quotedValue returns the value in the quotes that a text begins with, and the place after them; the place is -1 if there are no
// quotes. A quote in the value is doubled or has a backslash before it.
func quotedValue(text string) (value string, end int) {
	if text == "" || text[0] != '"' && text[0] != '\'' {
		return "", -1
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch next := i + 1; {
		case (text[i] == '\\' || text[i] == text[0]) && next < len(text) && text[next] == text[0]:
			b.WriteByte(text[0])
			i++
		case text[i] == text[0]:
			return b.String(), next
		default:
			b.WriteByte(text[i])
		}
	}
	return "", -1
}

// isPassword reports whether the key of a pair or of an XML element names a secret, and the value isn't the word of a setting,
// such as in sort_key=name.
func isPassword(key, value string) bool {
	words := keyWords(key)
	return namesSecret(words) && classify(key, value) == alone && !(words[len(words)-1] == "key" && shortWord().MatchString(value))
}

// xmlPasswords returns the texts and attributes of XML whose names say that they are secret, and the passwords in the others. XML
// that isn't well-formed is read up to the error.
func xmlPasswords(text string) []string {
	decoder := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	decoder.Strict = false
	var out []string
	add := func(name, value string) {
		value = strings.TrimSpace(value)
		if isPassword(name, value) {
			out = append(out, value)
		} else if !strings.HasPrefix(value, "<") {
			out = append(out, passwordsIn(value)...)
		}
	}
	var open []string
	for {
		token, err := decoder.RawToken()
		if err != nil {
			return out
		}
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, token.Name.Local)
			for _, a := range token.Attr {
				add(attributeName(token, a), a.Value)
			}
		case xml.EndElement:
			open = open[:max(0, len(open)-1)]
		case xml.CharData:
			if len(open) > 0 {
				add(open[len(open)-1], string(token))
			}
		}
	}
}

// attributeName returns the name of an attribute. For value in <add key="…" value="…"/> it returns the value of key.
func attributeName(e xml.StartElement, a xml.Attr) string {
	if a.Name.Local == "value" {
		for _, other := range e.Attr {
			if other.Name.Local == "key" || other.Name.Local == "name" {
				return other.Value
			}
		}
	}
	return a.Name.Local
}

var credentials = lazyregexp.New(`^([\w-]+: *)?([A-Za-z][\w-]{1,23}) +([\w.~+/-]+=*)$`)

// schemes are the HTTP authentication schemes whose credentials are one word (RFC 9110 section 11.4), and those that services
// invented.
var schemes = []string{"basic", "bearer", "token", "apikey", "api-key", "jwt", "negotiate"}

// credentialsOf returns the credentials in the value of an Authorization header, such as `Bearer eyJhbGciOi…`. The name of the header
// may precede it. Two plain words, such as "Token authentication", are not credentials.
func credentialsOf(value string) (string, bool) {
	m := credentials().FindStringSubmatch(value)
	if m == nil {
		return "", false
	}
	known := slices.Contains(schemes, strings.ToLower(m[2]))
	switch {
	case known && (m[1] != "" || strings.ContainsAny(m[3], "0123456789")):
	case isWords(m[3]), !known && len(m[3]) < minLeaf:
		return "", false
	}
	return m[3], true
}

func isCredentials(value string) bool {
	_, ok := credentialsOf(value)
	return ok
}

func isText(b []byte) bool {
	return utf8.Valid(b) && bytes.IndexFunc(b, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t", r) }) < 0
}
