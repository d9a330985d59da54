package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/mayfly-run/mayfly/internal/document"
)

// VersionFiles is a version of a tool with its files.
type VersionFiles struct {
	Version Version `json:"version"`
	Bundle
}

// Diff is what two versions of a tool differ in.
type Diff struct {
	From  int        `json:"from" doc:"the version before"`
	To    int        `json:"to" doc:"the version after"`
	Files []FileDiff `json:"files" doc:"the files that differ, by path"`
}

// FileDiff is what a file of two versions differs in.
type FileDiff struct {
	Path   string `json:"path"`
	Change string `json:"change" enum:"added,removed,changed"`
	// Mode says that the file has become executable, or is no longer executable.
	Mode string `json:"mode,omitempty" enum:"executable,not executable" doc:"what the file has become"`
	// Why there is no Text, although the contents differ.
	Omitted string `json:"omitted,omitempty" doc:"why there is no text: the file isn't text, or is too large"`
	Text    string `json:"text,omitempty" doc:"the difference, as diff -u writes it"`
}

// Checked is a definition without mistakes.
type Checked struct {
	Kind        string  `json:"kind" enum:"tool,workflow"`
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Warnings    []Wrong `json:"warnings" doc:"what is probably a mistake"`
	Defined
}

func version(in, tool string, v int) string {
	return fmt.Sprintf("%s/tools/%s/versions/%d", project(in), url.PathEscape(tool), v)
}

// Files returns a version of a tool with its files; version 0 is the latest.
func (c *Client) Files(ctx context.Context, in, tool string, v int) (*VersionFiles, error) {
	out := &VersionFiles{}
	return out, c.call(ctx, http.MethodGet, version(in, tool, v)+"/files", nil, out)
}

// ReadFile returns a file of a version of a tool.
func (c *Client) ReadFile(ctx context.Context, in, tool string, v int, path string) ([]byte, error) {
	resp, err := c.request(ctx, http.MethodGet, version(in, tool, v)+"/files/"+url.PathEscape(path), nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := document.Read(resp.Body, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

// maxFile bounds a file of a tool, as the server does.
const maxFile = 256 << 20

// Diff returns what two versions of a tool differ in; to 0 is the latest, and from 0 the one before to.
func (c *Client) Diff(ctx context.Context, in, tool string, from, to int) (*Diff, error) {
	out := &Diff{}
	q := url.Values{"from": {fmt.Sprint(from)}, "to": {fmt.Sprint(to)}}
	return out, c.call(ctx, http.MethodGet, project(in)+"/tools/"+url.PathEscape(tool)+"/diff?"+q.Encode(), nil, out)
}

// Validate checks a bundle as CreateVersion does, and makes nothing.
func (c *Client) Validate(ctx context.Context, in string, b *Bundle) (*Checked, error) {
	out := &Checked{}
	return out, c.call(ctx, http.MethodPost, project(in)+"/tools/validate", b, out)
}
