package server

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// record is what the audit log will have of a request: of one that changes something in any case, and of any other if it is denied.
type record struct {
	*store.Pending
	changes bool
	logged  bool // the log has an entry like it, and gets no other
}

type recordKey struct{}

// unauditedKey marks an operation that changes nothing although it isn't a GET, or that a runner repeats all the time.
const unauditedKey = "unaudited"

// unaudited has the audit log not have an operation, except when it is denied.
func unaudited(o huma.Operation) huma.Operation {
	o.Metadata[unauditedKey] = true
	return o
}

// maxSubject bounds what an entry says that comes from a request's address, in bytes: anybody can send one that is refused.
const maxSubject = 1 << 10

// maxProject bounds the name of a project there. No project has a longer one.
const maxProject = 63

// audit begins the record of a request. The store writes it with the first change that the request makes; what it doesn't write, since
// nothing was changed in it or the request was refused, is written here or by auditProblem.
func (s *Server) audit(c huma.Context, next func(huma.Context)) {
	op := c.Operation()
	r := &record{&store.Pending{Entry: audit.Entry{
		Address: addressOf(c.RemoteAddr()), Action: op.OperationID, Project: cutTo(c.Param("project"), maxProject), Subject: cutTo(defaultSubject(c), maxSubject), Outcome: audit.OK,
	}}, op.Method != http.MethodGet && op.Metadata[unauditedKey] == nil, false}
	c = huma.WithValue(c, recordKey{}, r)
	if r.changes {
		c = huma.WithContext(c, store.Audited(c.Context(), r.Pending))
	}
	next(c)
	s.auditRest(c.Context())
}

// auditRest writes the record of a request that makes changes, unless it is written.
func (s *Server) auditRest(ctx context.Context) {
	if r, ok := ctx.Value(recordKey{}).(*record); ok && r.changes && !r.Written {
		s.append(ctx, r)
	}
}

// auditProblem writes the record of a request that is refused, before it is answered.
func (s *Server) auditProblem(ctx context.Context, p *api.Problem) {
	r, ok := ctx.Value(recordKey{}).(*record)
	denied := p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden
	if !ok || r.logged || !r.changes && !denied || p == errRepeating {
		return
	}
	r.Outcome = string(p.Reason)
	if store.OnceOf(ctx) == nil { // otherwise, the request may have been answered before
		s.append(ctx, r)
	}
}

func (s *Server) append(ctx context.Context, r *record) {
	r.Written = true
	e := r.Entry
	if err := s.store.Append(context.WithoutCancel(ctx), &e); err != nil {
		// What was refused stays so; the log of the server must tell instead.
		s.log.Error("write the audit log", "action", e.Action, "actor", e.Actor, "address", e.Address, "subject", e.Subject, "outcome", e.Outcome, "error", err)
	}
}

// subject says more exactly than the request's address what the request is about. details are keys and values.
func subject(ctx context.Context, text string, details ...string) {
	p := store.PendingOf(ctx)
	if p == nil {
		return
	}
	p.Subject, p.Details = text, map[string]string{}
	for i := 0; i+1 < len(details); i += 2 {
		if details[i+1] != "" {
			p.Details[details[i]] = details[i+1]
		}
	}
}

// defaultSubject is the address of a request within its project, except for what only a runner may know of it.
func defaultSubject(c huma.Context) string {
	if c.Param("instance") != "" {
		return "runners/" + c.Param("name")
	}
	url := c.URL()
	path := strings.TrimPrefix(url.Path, api.Prefix)
	if p := c.Param("project"); p != "" {
		path = strings.TrimPrefix(path, "/projects/"+p)
	}
	return strings.TrimPrefix(path, "/")
}

// addressOf is an address without its port.
func addressOf(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

// AuditQuery selects entries of the audit log.
type AuditQuery struct {
	Order   string    `query:"order" enum:"latest,first" default:"latest" doc:"which entries come first: the latest, or the first of the log"`
	Actor   string    `query:"actor" maxLength:"253" doc:"only what was done with the token of this name"`
	Action  string    `query:"action" maxLength:"64" doc:"only this action"`
	Subject string    `query:"subject" maxLength:"1024" doc:"only what was about this, such as runs/ID or secrets/NAME"`
	Since   time.Time `query:"since" doc:"only entries from this time on"`
	Limit   int       `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor  string    `query:"cursor" pattern:"^[0-9]{0,18}$" doc:"next of the page before"`
}

func (s *Server) registerAudit() {
	huma.Register(s.api, operation("list-audit", http.MethodGet, "/audit", RoleAdmin, "List the entries of the audit log"),
		func(ctx context.Context, in *AuditQuery) (*body[api.AuditList], error) {
			return s.listAudit(ctx, "", in)
		})
	huma.Register(s.api, operation("list-project-audit", http.MethodGet, "/projects/{project}/audit", RoleAdmin, "List the entries of the audit log that are about a project"),
		func(ctx context.Context, in *struct {
			InProject
			AuditQuery
		},
		) (*body[api.AuditList], error) {
			return s.listAudit(ctx, in.Project, &in.AuditQuery)
		})
}

func (s *Server) listAudit(ctx context.Context, project string, q *AuditQuery) (*body[api.AuditList], error) {
	f := store.AuditFilter{Project: project, Actor: q.Actor, Action: q.Action, Subject: q.Subject, Since: q.Since, Latest: q.Order == "latest", Most: q.Limit + 1}
	if q.Cursor != "" {
		at, err := strconv.ParseInt(q.Cursor, 10, 64)
		if err != nil {
			return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, "the cursor is not a number of an entry", "use next of the page before")
		}
		if f.Latest {
			f.Before = at
		} else {
			f.After = at
		}
	}
	out := &body[api.AuditList]{Body: api.AuditList{Entries: []audit.Entry{}}}
	if project == "" {
		begin, err := s.store.AuditBegin(ctx)
		if err != nil {
			return nil, s.explain(err, "audit log")
		}
		if begin.Number > 0 {
			out.Body.Begin = &begin
		}
		head, err := s.store.AuditHead(ctx) // before the entries, so that they reach it
		if err != nil {
			return nil, s.explain(err, "audit log")
		}
		out.Body.Head = &head
	}
	entries, err := s.store.Entries(ctx, f)
	if err != nil {
		return nil, s.explain(err, "audit log")
	}
	if len(entries) > q.Limit {
		entries = entries[:q.Limit]
		out.Body.Next = strconv.FormatInt(entries[q.Limit-1].Number, 10)
	}
	out.Body.Entries = append(out.Body.Entries, entries...)
	return out, nil
}
