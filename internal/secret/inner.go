package secret

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addInner adds what is in a text that programs take apart and print by itself: what the text is the base64 of, if that is
// text too, such as the user and password of a registry, and the passwords that a form of text has at known places.
func (c *collector) addInner(value []byte, depth int) {
	for _, password := range passwordsIn(strings.TrimSpace(string(value))) {
		if password = strings.TrimSpace(password); len(password) >= MinMasked && len(password) < len(value) {
			c.add([]byte(password), depth+1)
		}
	}
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

var (
	userPassword = pattern(`^[\w.@$+-]*:(\S+)$`)
	// hostPassword matches a line of .pgpass: host, port, database, user and password (PostgreSQL, 34.16).
	hostPassword = pattern(`^[^:\s]+:(?:\d+|\*):[^:\s]+:[^:\s]+:(\S+)$`)
	// machinePassword matches an entry of .netrc, whose words stand in one line or several (netrc(5)).
	machinePassword = pattern(`(?s)(?:^|\s)(?:machine\s+\S+|default)\s.*?\bpassword\s+(\S+)`)
	element         = pattern(`<([\w.:-]+)[^<>]*>([^<>]+)</`)
	attribute       = pattern(`([\w.:-]+)="([^"<>]*)"`)
)

// passwordsIn returns the passwords in a text of one of the forms that have them at known places.
func passwordsIn(text string) []string {
	var out []string
	if password, ok := passwordOf(text); ok {
		out = append(out, password)
	}
	if password, ok := credentialsOf(text); ok {
		out = append(out, password)
	}
	if m := hostPassword().FindStringSubmatch(text); m != nil {
		out = append(out, m[1])
	}
	for _, m := range machinePassword().FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	if strings.HasPrefix(text, "<") { // XML
		for _, m := range slices.Concat(element().FindAllStringSubmatch(text, -1), attribute().FindAllStringSubmatch(text, -1)) {
			if namesSecret(keyWords(m[1])) {
				out = append(out, m[2])
			}
		}
		return out
	}
	return append(out, pairPasswords(text)...)
}

// pairPasswords returns the values of the pairs whose keys name a secret: those of a connection string
// (Server=db;Password=…), of a URL's query and of what PostgreSQL's libpq takes (host=db password=…).
func pairPasswords(text string) []string {
	var out []string
	between := func(r rune) bool { return r == ';' }
	if !strings.Contains(text, ";") {
		between = func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("&?,", r) }
	}
	for _, pair := range strings.FieldsFunc(text, between) {
		key, value, ok := strings.Cut(pair, "=")
		if ok && namesSecret(keyWords(key)) {
			out = append(out, strings.Trim(value, `"'`))
		}
	}
	return out
}

var credentials = pattern(`^(?:[\w-]+: *)?([A-Za-z][\w-]{1,23}) +([\w.~+/-]+=*)$`)

// schemes are those of HTTP whose credentials are one word (RFC 9110, 11.4), and those that services made up.
var schemes = []string{"basic", "bearer", "token", "apikey", "api-key", "jwt", "negotiate"}

// credentialsOf returns the credentials in what follows `Authorization:`, with or without that: `Bearer eyJhbGciOi…`.
// Of two words it says that they are just that, unless the second is as long as a token and looks like one.
func credentialsOf(value string) (string, bool) {
	m := credentials().FindStringSubmatch(value)
	if m == nil || isWords(m[2]) || len(m[2]) < minLeaf && !slices.Contains(schemes, strings.ToLower(m[1])) {
		return "", false
	}
	return m[2], true
}

func isCredentials(value string) bool {
	_, ok := credentialsOf(value)
	return ok
}

func isText(b []byte) bool {
	return utf8.Valid(b) && bytes.IndexFunc(b, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t", r) }) < 0
}
