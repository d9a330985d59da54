package image

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// TestRegistrysWordsStandQuoted is M04: text from a registry can't look like Mayfly's own text, and can't control a terminal.
func TestRegistrysWordsStandQuoted(t *testing.T) {
	const evil = "\x1b]0;pwned\x07 evil words\r\n\u009b2J\u202emayfly: ok\x1b[1A"
	words := imagetest.JSON(t, map[string]any{"errors": []any{map[string]string{"code": "DENIED" + evil, "message": evil, "detail": strings.Repeat(evil, 1000)}}})
	say := func(status int, body []byte) imagetest.Middleware {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.Path, "/manifests/") {
				w.WriteHeader(status)
				w.Write(body)
				return
			}
			next.ServeHTTP(w, r)
		}
	}
	platform := v1.Platform{OS: "linux" + evil, Architecture: "evil words"}
	odd := imagetest.BuildFor(t, platform, imagetest.Config{}, imagetest.Tar(t, file{Name: "f"}))
	index := imagetest.Index(t, odd)
	for name, c := range map[string]struct {
		m     imagetest.Middleware
		image imagetest.Image
	}{
		"denied":     {m: say(http.StatusForbidden, words)},
		"not found":  {m: say(http.StatusNotFound, words)},
		"too many":   {m: say(http.StatusTooManyRequests, words)},
		"broken":     {m: say(http.StatusInternalServerError, words)},
		"plain text": {m: say(http.StatusTeapot, []byte(evil))},
		"a token server without a token": {m: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.URL.Path == "/token" {
				w.Write(imagetest.JSON(t, map[string]string{"evil": evil}))
				return
			}
			bearerAuth("")(w, r, next)
		}},
		"a realm": {m: bearerAuth("ftp://evil words\u009b/")},
		"a redirect": {m: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.Path, "/manifests/") {
				w.Header().Set("Location", "http://evil words\u202e\u009b/")
				w.WriteHeader(http.StatusFound)
				return
			}
			next.ServeHTTP(w, r)
		}},
		"a platform of a config":     {image: odd},
		"the platforms of an index":  {image: index},
		"a media type of a manifest": {image: imagetest.Image{Manifest: bentType(t, odd, evil), MediaType: odd.MediaType, Blobs: odd.Blobs}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := imagetest.Serve(t, c.m)
			imagetest.PushImage(t, r.Host+"/app", odd) // what the index lists
			if c.image.Manifest != nil {
				imagetest.PushImage(t, r.Host+"/app:1", c.image)
			}
			o := testOptions()
			o.Attempts = 1
			_, err := openStore(t, t.TempDir(), o).Pull(t.Context(), r.Host+"/app:1", PullOptions{})
			if err == nil {
				t.Fatal("pulled")
			}
			said := err.Error()
			if strings.ContainsFunc(said, func(r rune) bool { return !unicode.IsPrint(r) }) || len(said) > 3000 {
				t.Errorf("the error isn't graphic or is too long: %q", said)
			}
			outside := strings.Join(everySecond(strings.Split(strings.ReplaceAll(said, `\"`, ""), `"`)), "")
			if strings.Contains(outside, "evil words") {
				t.Errorf("text of the registry is unquoted in: %s", said)
			}
		})
	}
}

// everySecond returns the parts outside quotes, for a text that was split at quotes.
func everySecond(parts []string) (out []string) {
	for i := 0; i < len(parts); i += 2 {
		out = append(out, parts[i])
	}
	return out
}

func bentType(t *testing.T, i imagetest.Image, to string) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(i.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	m["layers"].([]any)[0].(map[string]any)["mediaType"] = to
	return imagetest.JSON(t, m)
}

// TestErrorsPrint checks that every error is one line of graphic characters.
func TestErrorsPrint(t *testing.T) {
	for text, want := range map[string]string{
		"plain, ünïcode …":    "plain, ünïcode …",
		"a\x1b[2Jb\nc":        `a\x1b[2Jb\nc`,
		"\u009b1A\u202e\xffd": `\u009b1A\u202e` + "\uFFFD" + "d",
	} {
		if got := (&Error{Kind: ErrMalformed, Msg: text}).Error(); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

// TestReferencesPrint checks that names are graphic, since archives contain names too, and names are printed.
func TestReferencesPrint(t *testing.T) {
	for ref, ok := range map[string]bool{
		"r.example.com:5000/app:1": true, "localhost/app": true, "[::1]:5000/app": true, "xn--bcher-kva.example/app": true, "my_host.lan:5000/app": true,
		"ex\u202eample.com/app": false, "ex\u009b1Aample.com/app:1": false, "ex\x1bample.com/app": false, "bücher.example/app": false,
	} {
		if _, err := Canonical(ref); (err == nil) != ok {
			t.Errorf("%q: got %v, want valid: %v", ref, err, ok)
		}
	}
}
