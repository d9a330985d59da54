//go:build linux

package security

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// newPuller returns the command with its own home and with these settings in registries.json.
func newPuller(t *testing.T, settings string) *cli {
	t.Helper()
	c := &cli{t: t, canary: newCanary(t), home: t.TempDir(), tools: t.TempDir()}
	c.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "MAYFLY_HOME=" + c.home}
	if err := os.WriteFile(filepath.Join(c.home, "registries.json"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestM05_RegistriesLeadToNoPrivateAddress checks a registry that sends the client to another service on this machine, by address
// and by name, with each of its answers. It does so once more with settings that allow it, to show that the test sees a request.
func TestM05_RegistriesLeadToNoPrivateAddress(t *testing.T) {
	asked := make(chan string, 100)
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.Path
		fmt.Fprint(w, `{"token": "t"}`)
	}))
	defer inside.Close()
	img := imagetest.Build(t, imagetest.Config{}, imagetest.Tar(t, imagetest.File{Name: "f"}))
	byName := strings.Replace(inside.URL, "127.0.0.1", "localhost", 1)
	for _, part := range []string{"/v2/", "/manifests/", "/blobs/", "realm"} {
		for _, to := range []string{inside.URL, byName} {
			r := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				switch {
				case part == "realm":
					w.Header().Set("WWW-Authenticate", `Bearer realm="`+to+`/admin",service="x"`)
					http.Error(w, "", http.StatusUnauthorized)
				case strings.Contains(r.URL.Path, part):
					http.Redirect(w, r, to+"/admin", http.StatusTemporaryRedirect)
				default:
					next.ServeHTTP(w, r)
				}
			})
			imagetest.PushImage(t, r.Host+"/app:1", img)
			if d := newPuller(t, "").mayfly("image", "pull", r.Host+"/app:1"); d.code == 0 || len(asked) > 0 {
				t.Errorf("%s to %s: %+v; %d requests reached the service", part, to, d, len(asked))
			}
			if part == "realm" && to == inside.URL {
				continue // an address is never accepted as a realm
			}
			host := strings.TrimPrefix(to, "http://")
			allowing := newPuller(t, fmt.Sprintf(`{"registries": {%q: {"redirect_hosts": [%q]}}}`, r.Host, host))
			if d := allowing.mayfly("image", "pull", r.Host+"/app:1"); len(asked) == 0 {
				t.Errorf("%s to %s, allowed: the service wasn't asked: %+v", part, to, d)
			}
			for len(asked) > 0 {
				<-asked
			}
		}
	}
}

// TestM04_RegistrysWordsStandQuoted checks that a registry can't write to the user's terminal: its texts are quoted.
func TestM04_RegistrysWordsStandQuoted(t *testing.T) {
	r := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			next.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"errors": [{"code": "DENIED\u001b[2J", "message": "\u001b]0;title\u0007\r\u001b[1A\u009b2J\nmayfly: ok", "detail": "`+strings.Repeat("x", 10_000)+`"}]}`)
	})
	d := newPuller(t, "").mayfly("image", "pull", r.Host+"/app:1")
	line := strings.TrimSuffix(d.stderr, "\n")
	if d.code == 0 || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) || len(line) > 2000 || !strings.Contains(line, `: "DENIED\x1b[2J`) {
		t.Errorf("%+v", d)
	}
}

// TestM09_SlowRegistriesAreGivenUp checks registries that send their answers too slowly. The limits are short in this test.
func TestM09_SlowRegistriesAreGivenUp(t *testing.T) {
	layer := imagetest.Tar(t, imagetest.File{Name: "f", Body: strings.Repeat("0123456789", 10_000)})
	img := imagetest.Build(t, imagetest.Config{}, layer)
	const moment = 300 * time.Millisecond
	for what, c := range map[string]struct {
		part string
		opts image.Options
	}{
		"manifest": {"/manifests/", image.Options{Attempts: 2, DocumentTimeout: moment}},
		"config":   {imagetest.Digest(img.Config).String(), image.Options{Attempts: 2, DocumentTimeout: moment}},
		"layer":    {imagetest.Digest(layer).String(), image.Options{Attempts: 2, RateWindow: moment}},
	} {
		r := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if !strings.Contains(r.URL.Path, c.part) {
				next.ServeHTTP(w, r)
				return
			}
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, " "); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		})
		imagetest.PushImage(t, r.Host+"/app:1", img)
		dir := t.TempDir()
		store, err := image.Open(dir, c.opts)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = store.Pull(t.Context(), r.Host+"/app:1", image.PullOptions{})
		if !errors.Is(err, image.ErrStalled) || time.Since(begin) > time.Minute {
			t.Errorf("%s: after %v: %v", what, time.Since(begin), err)
		}
		if n := diskBytes(t, dir); n > 1<<20 {
			t.Errorf("%s: %d bytes are stored", what, n)
		}
	}
}
