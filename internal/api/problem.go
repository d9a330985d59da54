package api

import (
	"strings"

	"github.com/mayfly-run/mayfly/internal/run"
)

// Problem is the answer to a request that fails (RFC 9457, application/problem+json).
type Problem struct {
	Type   string `json:"type,omitempty" doc:"always about:blank; code tells problems apart"`
	Title  string `json:"title" doc:"the text of the HTTP status"`
	Status int    `json:"status" doc:"the HTTP status"`
	// Detail says what happened, and Remedy what to do about it.
	Detail string   `json:"detail" doc:"what happened"`
	Remedy string   `json:"remedy,omitempty" doc:"what to do about it"`
	Reason run.Code `json:"code" doc:"the kind of problem, for programs"`
	// Errors are the places that are wrong: in the request, or in a definition.
	Errors []Wrong `json:"errors,omitempty" doc:"what is wrong, and where"`
}

// Wrong is one mistake of a request, or of a definition in it.
type Wrong struct {
	Where   string `json:"where" doc:"a path in the request, such as body.inputs.NAME, or FILE:LINE:COLUMN"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Error returns what a person needs: each mistake on a line if they are in a definition or in inputs, as on this machine, and
// otherwise what happened and what to do.
func (p *Problem) Error() string {
	lines := make([]string, len(p.Errors))
	for i, w := range p.Errors {
		lines[i] = w.Message
		if w.Where != "" && p.Reason != run.CodeInvalidInput {
			lines[i] = w.Where + ": " + w.Message
		}
		if w.Hint != "" {
			lines[i] += "; " + w.Hint
		}
	}
	switch {
	case len(lines) > 0 && (p.Reason == run.CodeInvalidInput || p.Reason == run.CodeInvalidDefinition):
		return strings.Join(lines, "\n")
	case len(lines) > 0:
		return p.Detail + ": " + strings.Join(lines, "; ")
	case p.Remedy != "":
		return p.Detail + "; " + p.Remedy
	}
	return p.Detail
}

// Code implements run.Coder.
func (p *Problem) Code() run.Code { return p.Reason }

// GetStatus is the HTTP status, for package huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of the answer, for package huma.
func (p *Problem) ContentType(string) string { return "application/problem+json" }
