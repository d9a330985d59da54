package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mayfly-run/mayfly/internal/audit"
)

// AuditList is a page of the audit log.
type AuditList struct {
	Entries []audit.Entry `json:"entries"`
	Next    string        `json:"next,omitempty" doc:"the cursor of the next page; empty on the last one"`
	// Begin is where the whole log begins.
	Begin *audit.Head `json:"begin,omitempty" doc:"the last entry that was removed, since it was older than the server keeps them; only for all projects"`
	// Head is that of the whole log.
	Head *audit.Head `json:"head,omitempty" doc:"the last entry of the log, when the request was made; only for all projects"`
}

// AuditFilter selects entries of the audit log.
type AuditFilter struct {
	First         bool // the first of the log, instead of the latest
	Actor, Action string
	Subject       string
	Since         time.Time
	Limit         int
	Cursor        string
}

// Audit returns a page of the entries about a project, or with "" of the whole log.
func (c *Client) Audit(ctx context.Context, in string, f AuditFilter) (*AuditList, error) {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.First {
		q.Set("order", "first")
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	set("actor", f.Actor)
	set("action", f.Action)
	set("subject", f.Subject)
	set("cursor", f.Cursor)
	path := "/audit"
	if in != "" {
		path = project(in) + path
	}
	out := &AuditList{}
	return out, c.call(ctx, http.MethodGet, path+"?"+q.Encode(), nil, out)
}
