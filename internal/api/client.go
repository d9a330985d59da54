package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/stall"
)

// Prefix begins the paths of the API.
const Prefix = "/api/v1"

// answerTime bounds how long a server may take until it answers. It may put a large content into an archive that is slow.
const answerTime = 10 * time.Minute

// ClientOptions say which server a client talks to, and as whom.
type ClientOptions struct {
	Server string // https://HOST:PORT, or http:// for a loopback address
	Token  string
	// Fingerprint pins the server's certificate, as sha256:HEX of it. If it is empty, the system's authorities decide.
	Fingerprint string
	UserAgent   string
}

// Client talks to a server. Its methods may be called from several goroutines. Close ends its idle connections.
type Client struct {
	base *url.URL
	opts ClientOptions
	http *http.Client
	// upgrading has no HTTP/2, over which there is no Upgrade, and passes connections on as they are.
	upgrading *http.Client
	close     func()
	now       func() time.Time
}

// FingerprintError says that a server's certificate is another one than the one that is known.
type FingerprintError struct{ Want, Got string }

func (e *FingerprintError) Error() string {
	return fmt.Sprintf("the server's certificate has the fingerprint %s, not %s: it was replaced, or something is between here and the server", e.Got, e.Want)
}

// Code implements run.Coder.
func (e *FingerprintError) Code() run.Code { return run.CodeServerRefused }

// Fingerprint is what a certificate is known by.
func Fingerprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// isFingerprint reports whether a text has the form of a fingerprint.
func isFingerprint(text string) bool {
	digits, ok := strings.CutPrefix(text, "sha256:")
	sum, err := hex.DecodeString(digits)
	return ok && err == nil && len(sum) == sha256.Size && digits == strings.ToLower(digits)
}

// NewClient returns a client. It doesn't connect.
func NewClient(o ClientOptions) (*Client, error) {
	base, err := url.Parse(o.Server)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, run.NewError(run.CodeInvalidUsage, fmt.Sprintf("the server's address %q is not https://HOST[:PORT]", o.Server))
	}
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		return nil, run.NewError(run.CodeServerRefused, fmt.Sprintf("%s would send the token unencrypted; use https://", o.Server))
	}
	if o.Fingerprint != "" && !isFingerprint(o.Fingerprint) {
		return nil, run.NewError(run.CodeInvalidUsage, fmt.Sprintf("the fingerprint %q is not sha256: and 64 digits 0 to 9 and a to f, as the server prints it when it starts", o.Fingerprint))
	}
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
		ResponseHeaderTimeout: answerTime, MaxIdleConnsPerHost: 16, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		// A connection that has broken without a word is closed, and what waits on it fails.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
	if o.Fingerprint != "" {
		// The fingerprint takes the authorities' place: no name and no authority of a self-signed certificate could be checked.
		t.TLSClientConfig.InsecureSkipVerify = true //nolint:gosec // VerifyPeerCertificate compares the whole certificate
		t.TLSClientConfig.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
			if got := Fingerprint(raw[0]); subtle.ConstantTimeCompare([]byte(got), []byte(o.Fingerprint)) != 1 {
				return &FingerprintError{Want: o.Fingerprint, Got: got}
			}
			return nil
		}
	}
	single := t.Clone() // before t adds HTTP/2 to its configuration of TLS
	single.ForceAttemptHTTP2, single.HTTP2, single.DisableKeepAlives = false, nil, true
	single.Protocols = &http.Protocols{}
	single.Protocols.SetHTTP1(true)
	return &Client{base: base, opts: o, upgrading: &http.Client{Transport: single}, http: &http.Client{Transport: &stall.Transport{Base: t, After: quietTime, Err: errQuiet}}, close: t.CloseIdleConnections, now: time.Now}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Server is the server's address.
func (c *Client) Server() string { return c.opts.Server }

// Close ends idle connections.
func (c *Client) Close() { c.close() }

// Certificate returns the fingerprint of the server's certificate, and whether the system's authorities vouch for it.
func Certificate(ctx context.Context, server string) (fingerprint string, trusted bool, err error) {
	base, err := url.Parse(server)
	if err != nil {
		return "", false, err
	}
	host := base.Host
	if base.Port() == "" {
		host = net.JoinHostPort(base.Hostname(), "443")
	}
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} //nolint:gosec // it is only looked at
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return "", false, unreachable(server, err)
	}
	defer conn.Close()
	chain := conn.(*tls.Conn).ConnectionState().PeerCertificates //nolint:forcetypeassert // tls.Dialer makes no other
	between := x509.NewCertPool()
	for _, one := range chain[1:] {
		between.AddCert(one)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{DNSName: base.Hostname(), Intermediates: between})
	return Fingerprint(chain[0].Raw), err == nil, nil
}

// unreachable is the error of a server that doesn't answer.
func unreachable(server string, err error) error {
	var pinned *FingerprintError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &pinned):
		return fmt.Errorf("%s: %w; if you know why, log in again: mayfly login %s", server, pinned, server)
	case errors.As(err, &certificate):
		return run.NewError(run.CodeServerRefused, fmt.Sprintf("%s: %v; log in with its fingerprint: mayfly login %s; a runner takes it by --fingerprint", server, certificate, server))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	var op *url.Error
	if errors.As(err, &op) {
		err = op.Err
	}
	return &unansweredError{run.NewError(run.CodeServerUnreachable, fmt.Sprintf("no answer from %s: %v; check the address, and that mayfly server runs there", server, err))}
}

// request sends a request. The caller closes the answer's body. An answer that isn't a success is the error.
func (c *Client) request(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base.String(), "/")+Prefix+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+c.opts.Token)
	req.Header.Set("User-Agent", c.opts.UserAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(c.opts.Server, err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, c.problem(resp)
	}
	return resp, nil
}

// maxAnswer bounds what is read of an answer that isn't a stream.
const maxAnswer = 64 << 20

// problem reads the answer to a request that failed.
func (c *Client) problem(resp *http.Response) error {
	data, err := document.Read(resp.Body, 1<<20)
	p := &Problem{}
	if err == nil {
		err = json.Unmarshal(data, p)
	}
	if err != nil || p.Reason == "" {
		return run.NewError(run.CodeServerRefused, fmt.Sprintf("%s answers with the HTTP status %s, and not as a Mayfly server; check the address", c.opts.Server, resp.Status))
	}
	return p
}

// call sends and gets JSON. in or out may be nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	return c.callWith(ctx, method, path, http.Header{}, in, out)
}

// callWith is call with further headers.
func (c *Client) callWith(ctx context.Context, method, path string, header http.Header, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
		header.Set("Content-Type", "application/json")
	}
	resp, err := c.request(ctx, method, path, header, body)
	if err != nil {
		return err
	}
	return c.answer(resp, out)
}

// answer reads the answer to a request, if out isn't nil.
func (c *Client) answer(resp *http.Response, out any) error {
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	data, err := document.Read(resp.Body, maxAnswer)
	if err != nil {
		return &unansweredError{fmt.Errorf("read the answer of %s: %w", c.opts.Server, err)}
	}
	if err := json.Unmarshal(data, out); err != nil {
		return run.NewError(run.CodeServerRefused, fmt.Sprintf("%s doesn't answer as a Mayfly server: %v", c.opts.Server, err))
	}
	return nil
}

// ifMatch is the header of a change of what has this tag; "" is any.
func ifMatch(tag string) http.Header {
	header := http.Header{}
	if tag != "" {
		header.Set("If-Match", strconv.Quote(tag))
	}
	return header
}

// project is the path of a project.
func project(name string) string { return "/projects/" + url.PathEscape(name) }

// Missing returns which contents were not sent to a project, or are no longer on the server.
func (c *Client) Missing(ctx context.Context, in string, digests []string) ([]string, error) {
	var out Digests
	err := c.call(ctx, http.MethodPost, project(in)+"/contents/missing", Digests{digests}, &out)
	return out.Digests, err
}

// PutContent sends a content.
func (c *Client) PutContent(ctx context.Context, in, digest string, content io.Reader) error {
	resp, err := c.request(ctx, http.MethodPut, project(in)+"/contents/"+url.PathEscape(digest), http.Header{"Content-Type": {"application/octet-stream"}}, content)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// CreateVersion makes a version of a tool.
func (c *Client) CreateVersion(ctx context.Context, in, tool string, v *NewVersion) (*Version, error) {
	out := &Version{}
	return out, c.create(ctx, project(in)+"/tools/"+url.PathEscape(tool)+"/versions", v, out)
}

// Tools returns the latest version of each tool.
func (c *Client) Tools(ctx context.Context, in string) ([]Version, error) {
	return every(ctx, c, project(in)+"/tools", func(l *ToolList) ([]Version, string) { return l.Tools, l.Next })
}

// Versions returns the versions of a tool.
func (c *Client) Versions(ctx context.Context, in, tool string) ([]Version, error) {
	return every(ctx, c, project(in)+"/tools/"+url.PathEscape(tool)+"/versions", func(l *VersionList) ([]Version, string) { return l.Versions, l.Next })
}

// every returns all pages of a list.
func every[List, Item any](ctx context.Context, c *Client, path string, of func(*List) (page []Item, next string)) ([]Item, error) {
	all, query := []Item{}, url.Values{"limit": {"1000"}}
	for {
		var list List
		if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &list); err != nil {
			return nil, err
		}
		page, next := of(&list)
		if all = append(all, page...); next == "" {
			return all, nil
		}
		query.Set("cursor", next)
	}
}

// CreateRun accepts a run.
func (c *Client) CreateRun(ctx context.Context, in string, n *NewRun) (*Run, error) {
	out := &Run{}
	return out, c.create(ctx, project(in)+"/runs", n, out)
}

// Run returns a run.
func (c *Client) Run(ctx context.Context, in, id string) (*Run, error) {
	out := &Run{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/runs/"+url.PathEscape(id), nil, out)
}

// Result returns the result of a run that has ended.
func (c *Client) Result(ctx context.Context, in, id string) (*run.Result, error) {
	out := &run.Result{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/runs/"+url.PathEscape(id)+"/result", nil, out)
}

// Request returns what was asked for with a run.
func (c *Client) Request(ctx context.Context, in, id string) (*RunRequest, error) {
	out := &RunRequest{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/runs/"+url.PathEscape(id)+"/request", nil, out)
}

// Cancel asks for the end of a run.
func (c *Client) Cancel(ctx context.Context, in, id string) (*Run, error) {
	out := &Run{}
	return out, c.call(ctx, http.MethodPost, project(in)+"/runs/"+url.PathEscape(id)+"/cancel", nil, out)
}

// Rerun runs the same again, with changes unless they are nil.
func (c *Client) Rerun(ctx context.Context, in, id string, changes *Changes) (*Run, error) {
	out := &Run{}
	var body any
	if changes != nil {
		body = changes
	}
	return out, c.create(ctx, project(in)+"/runs/"+url.PathEscape(id)+"/rerun", body, out)
}

// Resume goes on with a run of a workflow that has ended, as a new run.
func (c *Client) Resume(ctx context.Context, in, id string, sel *Selection) (*Run, error) {
	out := &Run{}
	return out, c.create(ctx, project(in)+"/runs/"+url.PathEscape(id)+"/resume", sel, out)
}

// Steps returns how far a workflow is.
func (c *Client) Steps(ctx context.Context, in, id string) (*Steps, error) {
	out := &Steps{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/runs/"+url.PathEscape(id)+"/steps", nil, out)
}

// Artifacts returns the artifacts of a run, or those of the steps of a workflow.
func (c *Client) Artifacts(ctx context.Context, in, id string) (out []Artifact, err error) {
	err = c.call(ctx, http.MethodGet, project(in)+"/runs/"+url.PathEscape(id)+"/artifacts", nil, &out)
	return out, err
}

// Artifact returns an artifact of a run, a tar archive. The caller closes it.
func (c *Client) Artifact(ctx context.Context, in, id, name string) (io.ReadCloser, error) {
	resp, err := c.request(ctx, http.MethodGet, project(in)+"/runs/"+url.PathEscape(id)+"/artifacts/"+url.PathEscape(name), http.Header{}, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Metrics returns what a run used over time.
func (c *Client) Metrics(ctx context.Context, in, id string) (*Metrics, error) {
	out := &Metrics{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/runs/"+url.PathEscape(id)+"/metrics", nil, out)
}

// Connections returns the connections of a run.
func (c *Client) Connections(ctx context.Context, in, id string) (*Connections, error) {
	out := &Connections{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/runs/"+url.PathEscape(id)+"/connections", nil, out)
}

// tokens is the path of the tokens of a project, or of those for all projects.
func tokens(in string) string {
	if in == "" {
		return "/tokens"
	}
	return project(in) + "/tokens"
}

// CreateToken makes a token of a project, or with "" for all projects.
func (c *Client) CreateToken(ctx context.Context, in string, n *NewToken) (*Token, error) {
	out := &Token{}
	return out, c.create(ctx, tokens(in), n, out)
}

// Tokens returns the tokens of a project, or with "" those for all projects.
func (c *Client) Tokens(ctx context.Context, in string) ([]Token, error) {
	return every(ctx, c, tokens(in), func(l *TokenList) ([]Token, string) { return l.Tokens, l.Next })
}

// DeleteToken ends a token.
func (c *Client) DeleteToken(ctx context.Context, in, name string) error {
	return c.call(ctx, http.MethodDelete, tokens(in)+"/"+url.PathEscape(name), nil, nil)
}

// Me returns who the client's token is for, and what it may do.
func (c *Client) Me(ctx context.Context) (*Me, error) {
	out := &Me{}
	return out, c.call(ctx, http.MethodGet, "/me", nil, out)
}

// Runners returns the runners.
func (c *Client) Runners(ctx context.Context) (out []Runner, err error) {
	err = c.call(ctx, http.MethodGet, "/runners", nil, &out)
	return out, err
}

// DrainRunner has a runner take nothing new, and end when it is idle.
func (c *Client) DrainRunner(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, "/runners/"+url.PathEscape(name)+"/drain", nil, nil)
}

// Secrets returns the secrets of a project, without values.
func (c *Client) Secrets(ctx context.Context, in string) ([]Secret, error) {
	return every(ctx, c, project(in)+"/secrets", func(l *SecretList) ([]Secret, string) { return l.Secrets, l.Next })
}

// Secret returns a secret with its versions and uses, without values.
func (c *Client) Secret(ctx context.Context, in, name string) (*SecretHistory, error) {
	out := &SecretHistory{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/secrets/"+url.PathEscape(name), nil, out)
}

// SetSecret sets a secret, or which tools may use it, if its ETag has tag; "" is any.
func (c *Client) SetSecret(ctx context.Context, in, name, tag string, n *SetSecret) (*Secret, error) {
	out := &Secret{}
	return out, c.callWith(ctx, http.MethodPut, project(in)+"/secrets/"+url.PathEscape(name), ifMatch(tag), n, out)
}

// DeleteSecret removes a secret.
func (c *Client) DeleteSecret(ctx context.Context, in, name string) error {
	return c.call(ctx, http.MethodDelete, project(in)+"/secrets/"+url.PathEscape(name), nil, nil)
}

// RotateKeys has the server make a new key, and wrap all secrets for it.
func (c *Client) RotateKeys(ctx context.Context) error {
	return c.create(ctx, "/keys/rotate", nil, nil)
}

// LogQuery is a window of a log, or a search in it.
type LogQuery struct {
	Line, Lines int64  // the first line, or -N for the Nth from the end; how many
	Find        string // only lines that have this text
}

// Log returns a window of a run's log.
func (c *Client) Log(ctx context.Context, in, id string, w LogQuery) (*LogPage, error) {
	q := url.Values{}
	if w.Line != 0 {
		q.Set("line", fmt.Sprint(w.Line))
	}
	if w.Lines != 0 {
		q.Set("lines", fmt.Sprint(w.Lines))
	}
	if w.Find != "" {
		q.Set("find", w.Find)
	}
	out := &LogPage{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/runs/"+url.PathEscape(id)+"/log?"+q.Encode(), nil, out)
}
