package image

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// The canary credentials. M05: only the registry and its token server see them.
const (
	canaryUser     = "canary-user"
	canaryPassword = "canary-password-7f3a"
	canaryToken    = "canary-token-91bc"
)

type keychain struct{ authn.AuthConfig }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(k.AuthConfig), nil
}

// stranger is a server at another address of the loopback (127.0.0.2, and so another host), which records its requests.
type stranger struct {
	host string
	mu   sync.Mutex
	told []string // URL, headers and body of each request
}

func newStranger(t *testing.T, answer http.HandlerFunc) *stranger {
	t.Helper()
	return newStrangerAt(t, "127.0.0.2:0", answer)
}

func newStrangerAt(t *testing.T, at string, answer http.HandlerFunc) *stranger {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{host: l.Addr().String()}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		headers, _ := json.Marshal(r.Header)
		s.mu.Lock()
		s.told = append(s.told, r.URL.String()+"\n"+string(headers)+"\n"+string(body))
		s.mu.Unlock()
		answer(w, r)
	}))
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return s
}

// mustNotKnow fails the test if a request to the stranger had a canary in any form, or any Authorization header.
func (s *stranger) mustNotKnow(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	basic := base64.StdEncoding.EncodeToString([]byte(canaryUser + ":" + canaryPassword))
	for _, told := range s.told {
		for _, secret := range []string{canaryUser, canaryPassword, canaryToken, basic, "Authorization"} {
			if strings.Contains(told, secret) {
				t.Errorf("another host got %s: %s", secret, told)
			}
		}
	}
}

// basicAuth requires the canary credentials.
func basicAuth(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if u, p, _ := r.BasicAuth(); u != canaryUser || p != canaryPassword {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return
	}
	next.ServeHTTP(w, r)
}

// bearerAuth requires the canary token, which is issued at realm. If realm is empty, the token server is here, at /token.
func bearerAuth(realm string) imagetest.Middleware {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Path == "/token" {
			u, p, _ := r.BasicAuth()
			if err := r.ParseForm(); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			if (u != canaryUser || p != canaryPassword) && r.PostForm.Get("refresh_token") != canaryPassword {
				http.Error(w, "who?", http.StatusUnauthorized)
				return
			}
			io.WriteString(w, `{"access_token":"`+canaryToken+`"}`)
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+canaryToken {
			at := realm
			if at == "" {
				at = "http://" + r.Host + "/token"
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+at+`",service="test",scope="repository:app:pull"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}
}

func credentialStore(t *testing.T, cfg authn.AuthConfig) *Store {
	t.Helper()
	o := testOptions()
	o.Keychain = keychain{cfg}
	return openStore(t, t.TempDir(), o)
}

// leadingStore is like credentialStore, with settings that allow a registry to redirect to a stranger.
func leadingStore(t *testing.T, cfg authn.AuthConfig, registry string, s *stranger) *Store {
	t.Helper()
	o := testOptions()
	o.Keychain = keychain{cfg}
	o.Registries = Config{Registries: map[string]Registry{registry: {RedirectHosts: []string{s.host}}}}
	return openStore(t, t.TempDir(), o)
}

func canary() authn.AuthConfig {
	return authn.AuthConfig{Username: canaryUser, Password: canaryPassword}
}

func TestPullWithCredentials(t *testing.T) {
	for name, m := range map[string]imagetest.Middleware{"basic": basicAuth, "bearer": bearerAuth("")} {
		t.Run(name, func(t *testing.T) {
			r := imagetest.Serve(t, m)
			imagetest.Push(t, r.Host+"/app:1", imagetest.Config{}, imagetest.Tar(t, file{Name: "f"}))
			s := credentialStore(t, canary())
			mustPull(t, s, r.Host+"/app:1")
			noSecretIn(t, s.root)
			_, err := credentialStore(t, authn.AuthConfig{Username: canaryUser, Password: "wrong"}).Pull(t.Context(), r.Host+"/app:1", PullOptions{})
			wantKind(t, err, ErrUnauthorized)
			_, err = testStore(t).Pull(t.Context(), r.Host+"/app:1", PullOptions{})
			wantKind(t, err, ErrUnauthorized)
		})
	}
}

func TestPullWithAnIdentityToken(t *testing.T) {
	r := imagetest.Serve(t, bearerAuth(""))
	imagetest.Push(t, r.Host+"/app:1", imagetest.Config{}, imagetest.Tar(t, file{Name: "f"}))
	mustPull(t, credentialStore(t, authn.AuthConfig{IdentityToken: canaryPassword}), r.Host+"/app:1")
}

// noSecretIn checks S01: the store contains no credentials.
func noSecretIn(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, secret := range []string{canaryPassword, canaryToken} {
			if strings.Contains(string(raw), secret) {
				t.Errorf("%s contains %s", path, secret)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTokenRealmElsewhereGetsNoCredentials is M05: a token server at another host gets neither a password nor a refresh token.
func TestTokenRealmElsewhereGetsNoCredentials(t *testing.T) {
	s := newStranger(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"token":"x"}`) })
	r := imagetest.Serve(t, bearerAuth("http://"+s.host+"/token"))
	imagetest.Push(t, r.Host+"/app:1", imagetest.Config{}, imagetest.Tar(t, file{Name: "f"}))
	for _, cfg := range []authn.AuthConfig{canary(), {IdentityToken: canaryPassword}, {Auth: base64.StdEncoding.EncodeToString([]byte(canaryUser + ":" + canaryPassword))}} {
		_, err := credentialStore(t, cfg).Pull(t.Context(), r.Host+"/app:1", PullOptions{})
		wantKind(t, err, ErrCredentialHost)
		if strings.Contains(err.Error(), canaryPassword) {
			t.Errorf("the error contains the password: %v", err)
		}
	}
	if len(s.told) != 0 {
		t.Errorf("the other host got requests: %q", s.told)
	}
}

// TestTokenRedirectElsewhereGetsNoCredentials is M05: if a token server redirects to another host, the credentials don't go there,
// with GET or POST.
func TestTokenRedirectElsewhereGetsNoCredentials(t *testing.T) {
	s := newStranger(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"token":"x"}`) })
	r := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Path == "/token" {
			http.Redirect(w, r, "http://"+s.host+"/token", http.StatusTemporaryRedirect)
			return
		}
		bearerAuth("")(w, r, next)
	})
	imagetest.Push(t, r.Host+"/app:1", imagetest.Config{}, imagetest.Tar(t, file{Name: "f"}))
	for _, cfg := range []authn.AuthConfig{canary(), {IdentityToken: canaryPassword}} {
		if _, err := leadingStore(t, cfg, r.Host, s).Pull(t.Context(), r.Host+"/app:1", PullOptions{}); err == nil {
			t.Error("pulled")
		}
	}
	s.mustNotKnow(t)
}

// TestRedirectElsewhereGetsNoCredentials is M05: blobs and manifests may be redirected to another host, without credentials.
func TestRedirectElsewhereGetsNoCredentials(t *testing.T) {
	layer := imagetest.Tar(t, file{Name: "f"})
	img := imagetest.Build(t, imagetest.Config{}, layer)
	for name, auth := range map[string]imagetest.Middleware{"basic": basicAuth, "bearer": bearerAuth("")} {
		for _, part := range []string{"/blobs/", "/manifests/"} {
			t.Run(name+part, func(t *testing.T) {
				s := newStranger(t, func(w http.ResponseWriter, r *http.Request) {
					if b, ok := img.Blobs[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]; ok {
						w.Write(b)
						return
					}
					w.Header().Set("Content-Type", string(img.MediaType))
					w.Write(img.Manifest)
				})
				r := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if strings.Contains(r.URL.Path, part) && r.Header.Get("Authorization") != "" {
						http.SetCookie(w, &http.Cookie{Name: "c", Value: canaryToken})
						http.Redirect(w, r, "http://"+s.host+r.URL.Path, http.StatusTemporaryRedirect)
						return
					}
					auth(w, r, next)
				})
				imagetest.PushImage(t, r.Host+"/app:1", img)
				mustPull(t, leadingStore(t, canary(), r.Host, s), r.Host+"/app:1")
				if len(s.told) == 0 {
					t.Error("the other host got no request, so the test proves nothing")
				}
				s.mustNotKnow(t)
			})
		}
	}
}

func TestPingRedirectElsewhereGetsNoCredentials(t *testing.T) {
	var s *stranger
	s = newStranger(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+s.host+`/token",service="x"`)
		http.Error(w, "", http.StatusUnauthorized)
	})
	r := imagetest.Serve(t, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, "http://"+s.host+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := leadingStore(t, canary(), r.Host, s).Pull(t.Context(), r.Host+"/app:1", PullOptions{})
	wantKind(t, err, ErrCredentialHost)
	s.mustNotKnow(t)
}

// TestGuardTakesCredentialsOff tests the guard alone, since go-containerregistry and net/http also remove credentials.
func TestGuardTakesCredentialsOff(t *testing.T) {
	for _, c := range []struct {
		method, to string
		kept       bool
		kind       error
	}{
		{http.MethodGet, "https://r.example.com/v2/", true, nil},
		{http.MethodPost, "https://auth.example.com/token", true, nil},
		{http.MethodGet, "https://cdn.other.com/b", false, nil},
		{http.MethodPost, "https://cdn.other.com/token", false, ErrCredentialHost},
	} {
		var sent http.Header
		g := &guard{host: "r.example.com", secret: true, reach: newReach(endpoint{host: "r.example.com"}, Registry{}), next: roundTrip(func(r *http.Request) (*http.Response, error) {
			sent = r.Header
			return nil, io.EOF
		})}
		req, err := http.NewRequestWithContext(t.Context(), c.method, c.to, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []string{"Authorization", "Cookie", "Accept"} {
			req.Header.Set(h, canaryToken)
		}
		_, err = g.RoundTrip(req) //nolint:bodyclose // there is no response
		if c.kind != nil {
			wantKind(t, err, c.kind)
			if sent != nil {
				t.Errorf("%s %s was sent", c.method, c.to)
			}
			continue
		}
		for h, want := range map[string]bool{"Authorization": c.kept, "Cookie": c.kept, "Accept": true} {
			if got := sent.Get(h) != ""; got != want {
				t.Errorf("%s %s has the header %s: got %v, want %v", c.method, c.to, h, got, want)
			}
		}
	}
}

func TestGuardKnowsItsOwnSite(t *testing.T) {
	for _, c := range []struct {
		registry, host string
		may            bool
	}{
		{"index.docker.io", "auth.docker.io", true},
		{"index.docker.io", "auth.docker.io:443", true},
		{"ghcr.io", "ghcr.io", true},
		{"registry.gitlab.com", "gitlab.com", true},
		{"registry.example.co.uk", "auth.example.co.uk", true},
		{"registry.example.co.uk", "evil.co.uk", false},
		{"team.github.io", "evil.github.io", false}, // two owners
		{"index.docker.io", "docker.io.evil.com", false},
		{"index.docker.io", "evildocker.io", false},
		{"127.0.0.1:5000", "127.0.0.1:5001", true},
		{"127.0.0.1:5000", "127.0.0.2:5000", false},
		{"127.0.0.1:5000", "localhost", false},
		{"10.0.0.1", "11.0.0.1", false},
		{"10.1", "9.10.1", false}, // 10.0.0.1 and 9.10.0.1 in short
		{"registry", "auth", false},
		{"registry.example.com", "sso.other.com", true}, // named in the settings
	} {
		g := &guard{host: c.registry, tokenHosts: []string{"sso.other.com"}}
		if got := g.mayHave(c.host); got != c.may {
			t.Errorf("registry %s, token host %s: got %v, want %v", c.registry, c.host, got, c.may)
		}
	}
}

func TestGuardBoundsRedirects(t *testing.T) {
	for _, c := range []struct {
		from, to string
		before   int
		ok       bool
	}{
		{"https://r.example.com/v2", "https://s3.amazonaws.com/b", 1, true},
		{"https://r.example.com/v2", "http://s3.amazonaws.com/b", 1, false},
		{"http://r.example.com/v2", "http://s3.amazonaws.com/b", 1, true},
		{"https://r.example.com/v2", "https://s3.amazonaws.com/b", maxRedirects, false},
	} {
		g := &guard{host: "r.example.com"}
		from, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.from, nil)
		if err != nil {
			t.Fatal(err)
		}
		to, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.checkRedirect(to, slices.Repeat([]*http.Request{from}, c.before)); (err == nil) != c.ok {
			t.Errorf("%s redirects to %s: got %v, want allowed: %v", c.from, c.to, err, c.ok)
		}
	}
}

// TestDefaultKeychainReadsDockersConfig checks that credentials are read from where docker login stores them, including helpers.
func TestDefaultKeychainReadsDockersConfig(t *testing.T) {
	r := imagetest.Serve(t, basicAuth)
	imagetest.Push(t, r.Host+"/app:1", imagetest.Config{}, imagetest.Tar(t, file{Name: "f"}))
	helper := "#!/bin/sh\nread host\n[ \"$1\" = get ] && echo '{\"ServerURL\":\"'$host'\",\"Username\":\"" + canaryUser + "\",\"Secret\":\"" + canaryPassword + "\"}'\n"
	for name, config := range map[string]any{
		"auths":       map[string]any{"auths": map[string]any{r.Host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(canaryUser + ":" + canaryPassword))}}},
		"credHelpers": map[string]any{"credHelpers": map[string]string{r.Host: "canary"}},
		"credsStore":  map[string]any{"credsStore": "canary", "auths": map[string]any{r.Host: map[string]string{}}},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("HOME", home)
			t.Setenv("DOCKER_CONFIG", filepath.Join(home, "docker"))
			t.Setenv("PATH", home+":"+os.Getenv("PATH"))
			if err := os.Mkdir(filepath.Join(home, "docker"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(home, "docker", "config.json"), imagetest.JSON(t, config), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(home, "docker-credential-canary"), []byte(helper), 0o700); err != nil {
				t.Fatal(err)
			}
			o := testOptions()
			o.Keychain = nil
			mustPull(t, openStore(t, t.TempDir(), o), r.Host+"/app:1")
		})
	}
}
