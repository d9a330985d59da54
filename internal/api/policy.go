package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// SetPolicy sets the policy of a project.
type SetPolicy struct {
	Text string `json:"text" maxLength:"1048576" doc:"the policy in YAML, as that of a host (docs/CONFIGURATION.md)"`
}

// Policy is what the operator of a server allows a project's tools.
type Policy struct {
	Project string    `json:"project"`
	Version int       `json:"version" doc:"the ETag has it, in quotes"`
	Text    string    `json:"text"`
	Set     time.Time `json:"set"`
	SetBy   string    `json:"set_by"`
	// Unused says that the project may be misspelt.
	Unused bool `json:"unused,omitempty" doc:"there is no tool, run, secret, token or draft of the project yet; only in the answer to a policy that is set"`
}

// AssignedPolicy is the policy of an attempt's project.
type AssignedPolicy struct {
	Version int    `json:"version"`
	Text    string `json:"text"`
}

// Policy returns the policy of a project.
func (c *Client) Policy(ctx context.Context, in string) (*Policy, error) {
	out := &Policy{}
	return out, c.call(ctx, http.MethodGet, project(in)+"/policy", nil, out)
}

// SetPolicy sets the policy of a project, if the latest one has the version is; 0 is any.
func (c *Client) SetPolicy(ctx context.Context, in, text string, is int) (*Policy, error) {
	out := &Policy{}
	return out, c.callIf(ctx, http.MethodPut, "/policies/"+url.PathEscape(in), is, SetPolicy{text}, out)
}

// DeletePolicy removes the policy of a project, if it has the version is; 0 is any.
func (c *Client) DeletePolicy(ctx context.Context, in string, is int) error {
	return c.callIf(ctx, http.MethodDelete, "/policies/"+url.PathEscape(in), is, nil, nil)
}

// callIf is call for a version of something that may be another one by now; 0 is any.
func (c *Client) callIf(ctx context.Context, method, path string, is int, in, out any) error {
	tag := ""
	if is != 0 {
		tag = strconv.Itoa(is)
	}
	return c.callWith(ctx, method, path, ifMatch(tag), in, out)
}
