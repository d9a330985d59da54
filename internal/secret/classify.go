package secret

import (
	"net/url"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// minLeaf is the length in bytes from which a leaf is masked whatever its key is. Tokens and keys are at least that long. A shorter
// leaf may be a word that occurs everywhere in logs.
const minLeaf = 16

// class says how a leaf is masked.
type class int

const (
	readable class = iota // not at all
	withKey               // only together with its key, as they are written
	alone                 // everywhere
)

// classify returns the class of a leaf. A leaf is masked alone if its key names a secret (unless it is the path of a key), if it
// has several lines, if it is as long as a token and has no space, or if it is credentials after the name of a scheme. Paths and
// addresses stay readable, and so do words whose key says that they are a name, such as a namespace, and a single short word.
// All other leaves are too short, or too much like words, to be masked alone.
func classify(key, value string) class {
	value = strings.TrimSpace(value)
	words := keyWords(key)
	switch {
	case len(value) < MinMasked, slices.Contains([]string{"true", "false", "null", "none"}, strings.ToLower(value)):
		return readable
	case namesSecret(words) && !(words[len(words)-1] == "key" && isPath(value)):
		return alone
	case isAddress(value), isPath(value):
		return readable
	case namesName(words) && isWords(value):
		return readable
	case strings.Contains(value, "\n"):
		return alone
	case len(value) >= minLeaf && !strings.ContainsAny(value, " \t"):
		return alone
	case isCredentials(value):
		return alone
	case shortWord().MatchString(value):
		return readable
	case key == "":
		return readable
	}
	return withKey
}

// shortWord matches a word such as Config, and a small number such as a port.
var shortWord = lazyregexp.New(`^([A-Z]?[a-z]+([A-Z][a-z]+)?|[A-Z]+|[0-9]{1,5})$`)

var keyWord = lazyregexp.New(`[A-Z]+[a-z0-9]*|[a-z0-9]+`)

// keyWords returns the words of a key such as clientSecret, aws_secret_keys and client-key-data, in lower case and without a final
// s. It drops words at the end that say nothing, such as data.
func keyWords(key string) []string {
	words := keyWord().FindAllString(key, -1)
	for i, w := range words {
		if words[i] = strings.ToLower(w); words[i] != "pass" {
			words[i] = strings.TrimSuffix(words[i], "s")
		}
	}
	for len(words) > 1 && slices.Contains([]string{"data", "value", "string", "base64", "b64", "text"}, words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	return words
}

var (
	secretWord = lazyregexp.New(`^(passphrase|pass|pwd|passcode|pin|credential|jwt|bearer|cookie|signature|sig|authorization|.*(password|passwd|secret|token|apikey|accesskey|secretkey|privatekey))$`)
	nameWord   = lazyregexp.New(`^(.*name|namespace|cluster|context|user|login|server|host|domain|region|zone|location|project|organization|org|tenant|account|email|mail|uri|url|endpoint|kind|type|version|path|file|command|arg|mode|format|output|profile|environment|env|language|scheme|protocol|port|database|db|driver|algorithm|alg|label|group|issuer|scope|role|id|family)$`)
)

// namesSecret reports whether the last word of a key says that its value is a secret. The key of a secret's name, path or type ends
// with another word.
func namesSecret(words []string) bool {
	n := len(words)
	return n > 0 && (secretWord().MatchString(words[n-1]) || n > 1 && words[n-1] == "key" && words[n-2] != "public")
}

func namesName(words []string) bool {
	return len(words) > 0 && nameWord().MatchString(words[len(words)-1])
}

// isWords reports whether a text is a chain of words and small numbers, such as kind-demo-1, arn:aws:eks:eu-west-1:12:cluster/a
// or Service_Account.
func isWords(value string) bool {
	parts := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune("-_./:@ ,+=%()", r) })
	for _, part := range parts {
		if len(part) > 24 || !chainWord().MatchString(part) {
			return false
		}
	}
	return len(parts) > 0
}

// chainWord matches a word with an optional number after it, or up to 12 digits, such as an account id.
var chainWord = lazyregexp.New(`^([A-Z]?[a-z]+([A-Z][a-z]{2,})*|[A-Z]+)?[0-9]{0,3}([a-z]{1,7}[0-9]?)?$|^[0-9]{1,12}$`)

// isPath reports whether a text is a path of words.
func isPath(value string) bool {
	return (strings.HasPrefix(value, "/") || strings.HasPrefix(value, "./")) && isWords(value)
}

// isAddress reports whether a text is an email address, or a URL that has only a host and a path of words.
func isAddress(value string) bool {
	if local, domain, ok := strings.Cut(value, "@"); ok && !strings.ContainsAny(value, ":/") {
		return strings.Contains(domain, ".") && isWords(local) && isWords(domain)
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return false
	}
	return u.User == nil && u.RawQuery == "" && u.Fragment == "" && (strings.Trim(u.Path, "/") == "" || isWords(u.Path))
}
