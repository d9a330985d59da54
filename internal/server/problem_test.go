package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
)

const (
	awayText  = "the server can't reach its database, so the request wasn't carried out, or not all of it; try again in a moment; if it stays so, the server's log has the reason"
	awayError = 503
)

// TestExplain checks what clients hear of failures of the database.
func TestExplain(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		err    error
		status int
		code   run.Code
		text   string
	}{
		{store.ErrUnsure, 503, run.CodeServerUnreachable, "the connection to the database broke during a commit: the change may or may not have been made; repeat the request with the same Idempotency-Key; without one, check first whether it was"},
		// The joined error is that of the connection.
		{errors.Join(store.ErrUnsure, io.ErrUnexpectedEOF), 503, run.CodeServerUnreachable, "the connection to the database broke during a commit: the change may or may not have been made; repeat the request with the same Idempotency-Key; without one, check first whether it was"},
		{store.ErrBusy, 503, run.CodeBusy, "the database gave a change up ten times, since others were in its way; send it again"},
		{fmt.Errorf("%w: %w", store.ErrUnreachable, io.ErrUnexpectedEOF), awayError, run.CodeDatabase, awayText},
		{store.ErrSlow, 503, run.CodeDatabase, "the server's database took too long, so the request wasn't carried out, or not all of it; try again in a moment; if it stays so, look at the database's load; the server's log has more"},
		{store.ErrNoSpace, 507, run.CodeNoSpace, "the server's disk is full; free space in its folder, or give it a larger disk"},
		{errors.New("secret text"), 500, run.CodeError, "the server can't do this now; try again; the server's log has the reason"},
	} {
		p := asProblem(r.explain(fmt.Errorf("of the store: %w", c.err), "run a"))
		if p == nil || p.Status != c.status || p.Reason != c.code || p.Detail+"; "+p.Remedy != c.text {
			t.Errorf("%v: %+v, want %s", c.err, p, c.text)
		}
	}
}

// TestDatabaseAway stops PostgreSQL: each request says so, and works again when PostgreSQL does.
func TestDatabaseAway(t *testing.T) {
	postgres := postgrestest.Start(t)
	db, err := sqlstore.OpenPostgres(t.Context(), postgres.Database(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := newRigWith(t, Options{Store: db})
	requests := []struct{ method, path, body string }{
		{http.MethodGet, "/projects/own/runs", ""},
		{http.MethodGet, "/projects/own/runs/x/events", ""},
		{http.MethodPost, "/projects/own/runs", `{"bundle":` + r.bundle(t, oneTool) + `}`},
		{http.MethodPost, "/projects/own/tokens", `{"name":"n","role":"viewer"}`},
		{http.MethodPut, "/projects/own/secrets/s", `{"value":"eA=="}`},
	}
	if status, p := r.call(t, requests[0].method, api.Prefix+requests[0].path, r.tokens[RoleAdmin], ""); status != http.StatusOK {
		t.Fatalf("before: %d, %+v", status, p)
	}
	postgres.Stop(t)
	for range 2 { // with connections that broke, and without one
		for _, c := range requests {
			// Also while the token is still known, so that the operation fails and not the look for its token.
			for _, known := range []bool{true, false} {
				r.Server.tokens.forget(func(string, store.Token) bool { return true })
				if known {
					hash := hashOf(r.tokens[RoleAdmin])
					token := store.Token{Hash: hash, Name: RoleAdmin, Role: RoleAdmin}
					r.Server.tokens.have[string(hash)] = dated[store.Token]{token, time.Now().Add(time.Hour)}
				}
				status, p := r.call(t, c.method, api.Prefix+c.path, r.tokens[RoleAdmin], c.body)
				if status != awayError || p.Reason != run.CodeDatabase || p.Detail+"; "+p.Remedy != awayText {
					t.Errorf("%s %s without a database, known %v: %d, %+v", c.method, c.path, known, status, p)
				}
			}
		}
	}
	postgres.Restart(t)
	for _, c := range requests {
		if status, p := r.call(t, c.method, api.Prefix+c.path, r.tokens[RoleAdmin], c.body); status >= http.StatusInternalServerError {
			t.Errorf("%s %s after the restart: %d, %+v", c.method, c.path, status, p)
		}
	}
}
