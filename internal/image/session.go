package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mayfly-run/mayfly/internal/document"
)

// session makes requests to one endpoint for one repository. It connects, and gets its token, with the first request.
type session struct {
	s        *Store
	endpoint endpoint
	repo     name.Repository // its name at the endpoint
	base     *http.Transport
	reach    *reach

	mu     sync.Mutex
	client *http.Client
	scheme string
}

// newSession returns a session. It doesn't send anything.
func (s *Store) newSession(e endpoint, repository string) (*session, error) {
	opts := []name.Option{name.WeakValidation}
	if e.plain {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(e.host, opts...)
	if err != nil {
		return nil, &Error{Kind: ErrReference, Msg: "registry " + e.host, Err: err}
	}
	settings := s.opts.Registries.of(e.host)
	reach := newReach(e, settings)
	base := &http.Transport{
		Proxy:                 reach.proxy,
		DialContext:           reach.dial,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   s.opts.Jobs + 1,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: s.opts.StallTimeout,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		// Layers are compressed already, and the announced sizes are those of the bytes before any decompression.
		DisableCompression: true,
	}
	if file := settings.CAFile; file != "" {
		if base.TLSClientConfig.RootCAs, err = loadCAs(file); err != nil {
			return nil, fmt.Errorf("registry %s: %w", e.host, err)
		}
	}
	return &session{s: s, endpoint: e, repo: reg.Repo(path.Join(e.prefix, repository)), base: base, reach: reach}, nil
}

func loadCAs(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read ca_file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s contains no PEM certificate", file)
	}
	return pool, nil
}

func (x *session) close() { x.base.CloseIdleConnections() }

// connect finds out which authentication the registry requires (distribution-spec; Docker's token authentication specification), and
// gets a token. It returns the client and the scheme of URLs.
func (x *session) connect(ctx context.Context) (*http.Client, string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.client != nil {
		return x.client, x.scheme, nil
	}
	auth, err := authn.Resolve(ctx, x.s.opts.Keychain, x.repo)
	if err != nil {
		return nil, "", &Error{Kind: ErrUnauthorized, Msg: "read credentials for " + x.endpoint.host, Err: err, Hint: "check ~/.docker/config.json and its credential helper"}
	}
	creds, err := authn.Authorization(ctx, auth)
	if err != nil {
		return nil, "", &Error{Kind: ErrUnauthorized, Msg: "read credentials for " + x.endpoint.host, Err: err, Hint: "check ~/.docker/config.json and its credential helper"}
	}
	g := &guard{
		next: x.base, host: x.endpoint.host, plain: x.endpoint.plain, secret: *creds != authn.AuthConfig{}, reach: x.reach,
		tokenHosts: x.s.opts.Registries.of(x.endpoint.host).TokenHosts,
	}
	ch, err := transport.Ping(ctx, x.repo.Registry, g)
	if err != nil {
		return nil, "", explain(x.endpoint.host, err)
	}
	var token *transport.Token
	if strings.EqualFold(ch.Scheme, "bearer") {
		if token, err = x.token(ctx, g, auth, ch); err != nil {
			return nil, "", explain(x.endpoint.host, err)
		}
	}
	rt, err := transport.FromToken(x.repo.Registry, auth, g, ch, token)
	if err != nil {
		return nil, "", explain(x.endpoint.host, err)
	}
	x.scheme = "https"
	if ch.Insecure {
		x.scheme = "http"
	}
	x.client = &http.Client{Transport: rt, CheckRedirect: g.checkRedirect}
	return x.client, x.scheme, nil
}

// token exchanges the credentials, if any, for a token that allows pulling. It first checks where it would send them.
func (x *session) token(ctx context.Context, g *guard, auth authn.Authenticator, ch *transport.Challenge) (*transport.Token, error) {
	realm, err := url.Parse(ch.Parameters["realm"])
	if err != nil {
		return nil, &Error{Kind: ErrMalformed, Msg: fmt.Sprintf("registry %s: token realm", x.endpoint.host), Err: err}
	}
	if g.secret && !g.mayHave(realm.Host) {
		return nil, g.refuse(realm.Host)
	}
	if err := x.reach.check(realm); err != nil {
		return nil, err
	}
	tok, err := transport.Exchange(ctx, x.repo.Registry, auth, g, []string{x.repo.Scope(transport.PullScope)}, ch)
	if err != nil {
		return nil, err
	}
	if tok.Token == "" {
		tok.Token = tok.AccessToken // the name in OAuth2
	}
	return tok, nil
}

// get requests a resource of the repository, from an offset in bytes. The caller closes the body.
func (x *session) get(ctx context.Context, kind, id string, accept []string, offset int64) (*http.Response, error) {
	client, scheme, err := x.connect(ctx)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: scheme, Host: x.repo.RegistryStr(), Path: path.Join("/v2", x.repo.RepositoryStr(), kind, id)}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if len(accept) > 0 {
		req.Header.Set("Accept", strings.Join(accept, ","))
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, explain(x.endpoint.host, stripURL(err))
	}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		resp.Body.Close()
		return nil, explain(x.endpoint.host, err)
	}
	return resp, nil
}

// stripURL removes the URL from an error of net/http. After a redirect the URL may be signed, and so a secret.
func stripURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// manifestTypes are the supported media types of manifests and indexes, those of the OCI and of Docker.
var manifestTypes = []string{
	string(types.OCIManifestSchema1), string(types.OCIImageIndex),
	string(types.DockerManifestSchema2), string(types.DockerManifestList),
}

// small reads a resource of at most Limits.ManifestBytes.
func (x *session) small(ctx context.Context, kind, id string, accept []string) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := watch(x.s.opts, x.endpoint.host, cancel)
	defer w.stop()
	resp, err := x.get(ctx, kind, id, accept, 0)
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer resp.Body.Close()
	limit := x.s.opts.Limits.ManifestBytes
	raw, err := document.Read(w.reader(resp.Body), limit)
	if errors.Is(err, document.ErrTooLarge) {
		return nil, &Error{Kind: ErrBudget, Msg: fmt.Sprintf("registry %s: %s %s is larger than %d bytes", x.endpoint.host, kind, id, limit)}
	}
	if err != nil {
		return nil, explain(x.endpoint.host, cause(ctx, err))
	}
	return raw, nil
}

// cause returns the reason why ctx was cancelled if it was, and otherwise err.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return err
}
