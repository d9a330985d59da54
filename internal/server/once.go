package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// A request that makes something may have a key, which its sender has made up. Its answer is written in the transaction that makes the
// thing, so a request that is repeated finds either both or neither:
//
//	POST, key K ──▶ the operation ──▶ makes the thing and the answer in one transaction ──▶ its answer
//	                 │                 └─ there is an answer for K: ErrRepeated, and nothing is made
//	                 └─ fails              │
//	                     └────▶ look for the answer for K: to the same request ──▶ that answer again
//	                                                       to another one ───────▶ 409
//	                                                       none ─────────────────▶ the failure
//
// Nearly all requests come once, so the answer isn't looked for before. What fails has no answer that is kept: it may be tried again with
// its key.

// creations are the operations that make something. The answers of those that are true have a secret, and are kept sealed.
var creations = map[string]bool{
	"create-run": false, "rerun": false, "resume-run": false, "create-version": false, "create-token": true, "create-project-token": true,
	"rotate-keys": false,
}

const maxKey = 255

// errRepeating answers a request for which another one was faster; once looks for that one's answer instead.
var errRepeating = problem(http.StatusConflict, run.CodeKeyReused, "a request with this Idempotency-Key is being carried out", "send it again")

// describeKeys adds the header to the API's description.
func (s *Server) describeKeys() {
	for op := range operations(s.api.OpenAPI()) {
		if _, ok := creations[op.OperationID]; ok {
			op.Parameters = append(op.Parameters, &huma.Param{
				Name: api.KeyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: new(maxKey)},
				Description: "a text that tells this request from all others of the token: a request that is repeated with it within 24 h makes nothing, and gets the same answer",
			})
		}
	}
}

// once has a request with a key be carried out only once.
func (s *Server) once(c huma.Context, next func(huma.Context)) {
	secret, creates := creations[c.Operation().OperationID]
	key := c.Header(api.KeyHeader)
	if !creates || key == "" {
		next(c)
		return
	}
	if len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < '!' || r > '~' }) {
		s.refuse(c, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "the "+api.KeyHeader+" is longer than 255 characters, or has other ones than ! to ~", "send a UUID, for example"))
		return
	}
	r, w := humago.Unwrap(c)
	body := s.body(w, r, c.Operation().MaxBodyBytes)
	data, err := io.ReadAll(body)
	if body.broken() {
		s.refuse(c, asProblem(cutShort(err)))
		return
	}
	if err != nil {
		s.refuse(c, problem(http.StatusRequestEntityTooLarge, run.CodeInvalidRequest, "the request is too large", "send less"))
		return
	}
	print := s.printOf(r, data)
	for {
		o := &store.Once{Token: who(c.Context()).Hash, Key: key, Print: print}
		one := r.WithContext(store.OnlyOnce(c.Context(), o))
		one.Body = io.NopCloser(bytes.NewReader(data))
		out := &kept{header: http.Header{}}
		next(humago.NewContext(c.Operation(), one, out))
		if !o.Repeated && out.code < http.StatusBadRequest {
			out.send(w)
			return
		}
		a, err := s.store.Answer(c.Context(), o.Token, key)
		switch {
		case err == nil && !bytes.Equal(a.Print, print):
			subject(c.Context(), defaultSubject(c)) // what the operation would have made isn't there
			s.refuse(c, problem(http.StatusConflict, run.CodeKeyReused, "another request was sent with this "+api.KeyHeader, "use another key for each request, and the same one only to repeat a request"))
			return
		case err == nil:
			s.again(c, a.Body, secret)
			return
		case !o.Repeated: // it has failed, and is audited as such, before the answer
			s.auditRest(c.Context())
			out.send(w)
			return
		case !errors.Is(err, store.ErrNotFound):
			s.refuse(c, asProblem(s.explain(err, "answer")))
			return
		}
	}
}

// printOf tells a request from others. The addresses and bodies of two requests are never the same text, since an address has no line feed.
// The print of a body that may have secrets also has the token, and the session: whoever reads the database can't try values then.
func (s *Server) printOf(r *http.Request, data []byte) []byte {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s\n", r.Method, r.URL.RequestURI())
	if mayHaveSecrets(data) {
		session, _ := s.sessionOf(r)
		fmt.Fprintf(sum, "%s\n%s\n", r.Header.Get("Authorization"), session)
	}
	sum.Write(data)
	return sum.Sum(nil)
}

// mayHaveSecrets says whether a body has the field for secrets. JSON has several ways to write its name, and decoders take any case of it.
func mayHaveSecrets(data []byte) bool {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return true
	}
	for name := range fields {
		if strings.EqualFold(name, "secrets") {
			return true
		}
	}
	return false
}

// again answers a request with the answer that it has had before.
func (s *Server) again(c huma.Context, data []byte, secret bool) {
	if secret {
		open, err := s.keys.Values().Unseal(c.Context(), data)
		if err != nil {
			s.refuse(c, asProblem(s.explain(fmt.Errorf("open an answer: %w", err), "answer")))
			return
		}
		defer clear(open)
		data = open
	}
	subject(c.Context(), defaultSubject(c), "repeated", "yes")
	if p := store.PendingOf(c.Context()); p != nil {
		p.Outcome = audit.OK
	}
	status := c.Operation().DefaultStatus
	if status == 0 {
		status = http.StatusOK
	}
	c.SetHeader("Idempotency-Replayed", "true")
	if status == http.StatusNoContent {
		c.SetStatus(status)
		return
	}
	c.SetHeader("Content-Type", "application/json")
	c.SetStatus(status)
	if _, err := c.BodyWriter().Write(data); err != nil {
		s.log.Debug("answer", "error", err) // the client has gone
	}
}

// answerWith says what a request with a key is answered with, before it makes anything.
func (s *Server) answerWith(ctx context.Context, secret bool, answer func(made any) any) {
	o := store.OnceOf(ctx)
	if o == nil {
		return
	}
	o.Body = func(made any) ([]byte, error) {
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false) // like package huma's
		err := enc.Encode(answer(made))
		if err != nil || !secret {
			return out.Bytes(), err
		}
		defer clear(out.Bytes())
		return s.keys.Values().Seal(ctx, out.Bytes())
	}
}

// kept is an answer that isn't sent yet.
type kept struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (k *kept) Header() http.Header { return k.header }

// WriteHeader implements http.ResponseWriter.
func (k *kept) WriteHeader(code int) {
	if k.code == 0 {
		k.code = code
	}
}

// Write implements http.ResponseWriter.
func (k *kept) Write(p []byte) (int, error) { return k.body.Write(p) }

func (k *kept) send(w http.ResponseWriter) {
	for name, values := range k.header {
		w.Header()[name] = values
	}
	if k.code == 0 {
		k.code = http.StatusOK
	}
	w.WriteHeader(k.code)
	_, _ = w.Write(k.body.Bytes()) // on an error the client has gone
}
