package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// problemType is the media type of problems.
const problemType = "application/problem+json"

// useProblems has package huma answer with our problems, and describe them. Its setting belongs to the whole process.
var useProblems = sync.OnceFunc(func() {
	huma.NewError = func(status int, text string, errs ...error) huma.StatusError {
		p := problem(status, codeOf(status), text, "")
		for _, err := range errs {
			var detail huma.ErrorDetailer
			if errors.As(err, &detail) {
				d := detail.ErrorDetail()
				if strings.HasPrefix(d.Message, "invalid date/time for format") { // as package time writes it
					d.Message = "must be a time such as 2026-01-31T12:00:00Z"
				}
				p.Errors = append(p.Errors, api.Wrong{Where: d.Location, Message: d.Message})
			} else if err != nil {
				p.Errors = append(p.Errors, api.Wrong{Message: err.Error()})
			}
		}
		if len(p.Errors) > 0 {
			p.Remedy = "correct what errors lists; " + api.Prefix + "/openapi.json describes the request"
		}
		return p
	}
})

// codeOf is the code of a problem that the HTTP status describes.
func codeOf(status int) run.Code {
	switch {
	case status == http.StatusNotFound:
		return run.CodeNoSuchThing
	case status == http.StatusUnauthorized:
		return run.CodeUnauthenticated
	case status == http.StatusForbidden:
		return run.CodeForbidden
	case status >= http.StatusInternalServerError:
		return run.CodeError
	}
	return run.CodeInvalidRequest
}

func problem(status int, code run.Code, detail, remedy string) *api.Problem {
	if remedy == "" && status < http.StatusInternalServerError {
		remedy = "correct the request; " + api.Prefix + "/openapi.json describes it"
	}
	return &api.Problem{Title: http.StatusText(status), Status: status, Reason: code, Detail: detail, Remedy: remedy}
}

// wrongAt is the answer to a request with a mistake at one place.
func wrongAt(where, text, remedy string) error {
	p := problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, text, remedy)
	p.Errors = []api.Wrong{{Where: where, Message: text, Hint: remedy}}
	return p
}

// writeProblem answers a request that is no operation's.
func writeProblem(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // on an error the client has gone
}

// wrongText returns the answer to a request whose definition or inputs are wrong, or nil.
func wrongText(err error) *api.Problem {
	var wrong *shape.Error
	var placed *shape.PlacedError
	var inputs *tool.InputError
	switch {
	case errors.As(err, &wrong):
		p := problem(http.StatusUnprocessableEntity, run.CodeInvalidDefinition, "the definition is wrong", "correct what errors lists")
		for _, one := range wrong.Problems {
			p.Errors = append(p.Errors, api.Wrong{Where: one.Position.String(), Message: one.Text, Hint: one.Hint})
		}
		return p
	case errors.As(err, &placed):
		p := problem(http.StatusUnprocessableEntity, run.CodeInvalidDefinition, "the definition is wrong", "correct what errors lists")
		p.Errors = []api.Wrong{{Where: placed.Position.String(), Message: placed.Err.Error()}}
		return p
	case errors.As(err, &inputs):
		p := problem(http.StatusUnprocessableEntity, run.CodeInvalidInput, "the inputs are wrong", "correct what errors lists")
		for i, text := range inputs.Problems {
			where := "body.inputs"
			if name := inputs.Of(i); name != "" {
				where += "." + name
			}
			p.Errors = append(p.Errors, api.Wrong{Where: where, Message: text})
		}
		return p
	}
	return nil
}

// explain returns the answer to a request that failed with err, which is about what.
func (s *Server) explain(err error, what string) error {
	var already *api.Problem
	var denied *policy.DeniedError
	var digest *archive.DigestError
	var notDigest *content.DigestError
	var kept *archive.Error
	var damaged *store.DamagedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already):
		return already
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, store.ErrNoSpace):
		s.log.Error("the disk is full", "about", what, "error", err)
		return problem(http.StatusInsufficientStorage, run.CodeNoSpace, "the server's disk is full", "free space in its folder, or give it a larger disk")
	case errors.Is(err, store.ErrUnsure):
		s.log.Error("the database broke off", "about", what, "error", err)
		return problem(http.StatusServiceUnavailable, run.CodeServerUnreachable, "the connection to the database broke during a commit: the change may or may not have been made",
			"repeat the request with the same Idempotency-Key; without one, check first whether it was")
	case errors.Is(err, store.ErrUnreachable):
		s.log.Error("the database can't be reached", "about", what, "error", err)
		return problem(http.StatusServiceUnavailable, run.CodeDatabase, "the server can't reach its database, so the request wasn't carried out, or not all of it",
			"try again in a moment; if it stays so, the server's log has the reason")
	case errors.Is(err, store.ErrSlow):
		s.log.Error("the database took too long", "about", what, "error", err)
		return problem(http.StatusServiceUnavailable, run.CodeDatabase, "the server's database took too long, so the request wasn't carried out, or not all of it",
			"try again in a moment; if it stays so, look at the database's load; the server's log has more")
	case errors.Is(err, store.ErrBusy):
		s.log.Warn("a write was given up", "about", what, "error", err)
		return problem(http.StatusServiceUnavailable, run.CodeBusy, "the database gave a change up ten times, since others were in its way", "send it again")
	case errors.Is(err, store.ErrNotFound):
		return problem(http.StatusNotFound, run.CodeNoSuchThing, "there is no "+what, "look at the list, and check the project")
	case errors.Is(err, store.ErrRepeated):
		return errRepeating
	case errors.Is(err, store.ErrOver):
		return problem(http.StatusConflict, run.CodeOver, what+" has ended already", "there is nothing to do; mayfly runs shows how it ended")
	case errors.Is(err, store.ErrNotHeld):
		return problem(http.StatusConflict, run.CodeNotHeld, what+" belongs to this runner no longer: its lease ran out, or the run has ended", "end it, and report nothing more of it")
	case errors.As(err, &denied):
		return problem(http.StatusForbidden, run.CodePolicyDenied, denied.Refused(), denied.Remedy())
	case errors.Is(err, store.ErrChanged):
		return problem(http.StatusPreconditionFailed, run.CodeChanged, "the "+what+" isn't the one that the request names: it was changed meanwhile", "get it again, and look at what has changed")
	case errors.Is(err, store.ErrExists):
		return problem(http.StatusConflict, run.CodeExists, what+" exists already", "use another name")
	case errors.As(err, &notDigest):
		return problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, notDigest.Error(), "write sha256: and 64 hexadecimal digits in lower case")
	case errors.As(err, &digest):
		return problem(http.StatusUnprocessableEntity, run.CodeInvalidInput, digest.Error(), "send the content again")
	case errors.As(err, &damaged):
		s.log.Error("a log is damaged", "about", what, "error", err)
		return problem(http.StatusInternalServerError, run.CodeLogDamaged, fmt.Sprintf("events %d to %d of run %s are damaged where the server keeps them", damaged.First, damaged.Last, damaged.Run),
			"restore them from a backup; the server's log has more")
	case errors.As(err, &kept):
		s.log.Error("request failed", "about", what, "error", err) // its text names the server's folder or bucket
		return problem(http.StatusServiceUnavailable, run.CodeArchive, "the server's archive can't be used now", "try again; the server's log has the reason")
	}
	if p := wrongText(err); p != nil {
		return p
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, io.ErrUnexpectedEOF) { // the client has gone
		s.log.Debug("request cancelled", "about", what)
		return problem(http.StatusServiceUnavailable, run.CodeCancelled, "the request was cancelled", "")
	}
	// The text may have addresses and paths of the server.
	s.log.Error("request failed", "about", what, "error", err)
	return problem(http.StatusInternalServerError, run.CodeError, "the server can't do this now", "try again; the server's log has the reason")
}
