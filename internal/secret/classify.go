package secret

import (
	"net/url"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/lazyregexp"
)

// minLeaf is the length of a leaf from which it is masked whatever its key is: tokens and keys are that long, while a
// shorter one may be a word that logs are full of.
const minLeaf = 16

// class is how a leaf is masked.
type class int

const (
	readable class = iota // it isn't
	withKey               // together with its key, as they are written
	alone                 // wherever it stands
)

// classify decides about a leaf. What its own key says is a secret is one, unless it is the path of a key, and so is what
// has several lines, or is as long as a token and has no space, words or not, or has a token after the name of a scheme. A path and an address stay readable, and so do
// words that their key says are a name, such as a namespace, and a single short word. Everything else is too short or too
// wordy to be looked for by itself.
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

// keyWords are the words of a key, in lower case and without an s at their end: those of clientSecret, aws_secret_key
// and client-key-data.
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

// namesSecret says that what stands under a key is a secret by the last word of the key: a name, a path or a type of a
// secret has another one.
func namesSecret(words []string) bool {
	n := len(words)
	return n > 0 && (secretWord().MatchString(words[n-1]) || n > 1 && words[n-1] == "key" && words[n-2] != "public")
}

func namesName(words []string) bool {
	return len(words) > 0 && nameWord().MatchString(words[len(words)-1])
}

// isWords says that a text is a chain of words and small numbers, such as kind-demo-1, arn:aws:eks:eu-west-1:12:cluster/a
// and Service_Account.
func isWords(value string) bool {
	parts := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune("-_./:@ ,+=%()", r) })
	for _, part := range parts {
		if len(part) > 24 || !chainWord().MatchString(part) {
			return false
		}
	}
	return len(parts) > 0
}

// chainWord matches a word, with or without a number after it, or up to 12 digits, as account ids have.
var chainWord = lazyregexp.New(`^([A-Z]?[a-z]+([A-Z][a-z]{2,})*|[A-Z]+)?[0-9]{0,3}([a-z]{1,7}[0-9]?)?$|^[0-9]{1,12}$`)

// isPath says that a text is a path of words.
func isPath(value string) bool {
	return (strings.HasPrefix(value, "/") || strings.HasPrefix(value, "./")) && isWords(value)
}

// isAddress says that a text is a URL with nothing in it but a host and a path of words, or an address of mail.
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
