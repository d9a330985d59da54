package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Draft is what is being written: a tool or workflow before it is a version.
type Draft struct {
	Name       string    `json:"draft" doc:"its name; of files in a folder (mayfly dev), the path of the definition"`
	Kind       string    `json:"kind,omitempty" enum:"tool,workflow" doc:"left out if it can't be told"`
	Definition string    `json:"definition" doc:"the path of the definition among the files"`
	ETag       string    `json:"etag" doc:"the ETag has it, in quotes: another one with other files"`
	Changed    time.Time `json:"changed"`
	ChangedBy  string    `json:"changed_by,omitempty" doc:"empty for files in a folder, which anyone may have changed"`
	Base       int       `json:"base" doc:"the version of the tool that it began from; 0 for none"`
	Problem    string    `json:"problem,omitempty" doc:"why it, or one of its files, can't be read"`
}

// DraftFiles is a draft with its files. Their contents are there, so that it may be checked, run or published as it is.
type DraftFiles struct {
	Draft
	Files []File   `json:"files" doc:"by path"`
	Own   []string `json:"own,omitempty" doc:"of a folder (mayfly dev), the paths of the files that delete-draft removes: no other draft has them"`
}

// DraftList has the drafts of a project, by name.
type DraftList struct {
	Drafts  []Draft  `json:"drafts"`
	Omitted []string `json:"omitted,omitempty" doc:"what of a folder (mayfly dev) was left out, and why"`
}

// SetDraft makes or replaces a draft. The contents of the files are sent before, as those of a version. What they define needn't be right.
type SetDraft struct {
	Bundle
	Base int `json:"base,omitempty" minimum:"0" maximum:"2147483647" doc:"the version of the tool that it began from; 0 for none"`
}

func draft(in, name string) string { return project(in) + "/drafts/" + url.PathEscape(name) }

// Drafts returns the drafts of a project.
func (c *Client) Drafts(ctx context.Context, in string) (*DraftList, error) {
	out := &DraftList{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/drafts", nil, out)
}

// Draft returns a draft with its files.
func (c *Client) Draft(ctx context.Context, in, name string) (*DraftFiles, error) {
	out := &DraftFiles{}
	return out, c.call(ctx, http.MethodGet, draft(in, name), nil, out)
}

// SetDraft makes or replaces a draft, if its ETag has tag; "" is any.
func (c *Client) SetDraft(ctx context.Context, in, name, tag string, d *SetDraft) (*DraftFiles, error) {
	out := &DraftFiles{}
	return out, c.callWith(ctx, http.MethodPut, draft(in, name), ifMatch(tag), d, out)
}

// DeleteDraft removes a draft, if its ETag has tag; "" is any.
func (c *Client) DeleteDraft(ctx context.Context, in, name, tag string) error {
	return c.callWith(ctx, http.MethodDelete, draft(in, name), ifMatch(tag), nil, nil)
}
