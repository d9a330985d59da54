package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
)

// A step of a workflow may get what an earlier one made of a secret. So the store has its request sealed for the server's keys, and
// its runner gets it sealed for its own key, like the secrets themselves.

// sealedRequest is a run.Request in the store that may have a secret.
type sealedRequest struct {
	Sealed []byte `json:"sealed"`
	// Contents are the digests in it, so that the archive keeps what they name.
	Contents []string `json:"contents,omitempty"`
}

// keptRequest is a run.Request in the store.
type keptRequest struct {
	*run.Request
	Asked asked `json:"asked,omitzero"`
}

// asked is what a request had that isn't in the run.Request: what the runner needs of it is.
type asked struct {
	Set    map[string]string `json:"set,omitempty"`
	Bundle *api.Bundle       `json:"bundle,omitempty"` // a definition that came with it
	Test   *api.NewTest      `json:"test,omitempty"`
}

// mostRequest bounds what a runner gets of a run, in bytes of JSON. A runner reads no longer lines, and would break off again and again.
const mostRequest = 32 << 20

// keepRequest returns a request as the store keeps it.
func (s *Server) keepRequest(ctx context.Context, req keptRequest, secret bool) ([]byte, error) {
	data, err := json.Marshal(req)
	if len(data) > mostRequest {
		return nil, problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest,
			fmt.Sprintf("what a runner has to get of the run is %d MiB, and at most %d are sent", len(data)>>20, mostRequest>>20),
			"have its tools name large files in volumes, instead of in scripts")
	}
	if err != nil || !secret {
		return data, err
	}
	defer clear(data)
	sealed, err := s.keys.Values().Seal(ctx, data)
	if err != nil {
		return nil, err
	}
	kept := sealedRequest{Sealed: sealed}
	eachDigest(string(data), func(digits string) { kept.Contents = append(kept.Contents, digits) })
	return json.Marshal(kept)
}

// openRequest reads what keepRequest returned.
func (s *Server) openRequest(ctx context.Context, data []byte) (req keptRequest, secret bool, err error) {
	var kept struct {
		keptRequest
		sealedRequest
	}
	kept.Request = &run.Request{}
	if err := json.Unmarshal(data, &kept); err != nil {
		return req, false, err
	}
	if kept.Sealed == nil {
		return kept.keptRequest, false, nil
	}
	if data, err = s.keys.Values().Unseal(ctx, kept.Sealed); err != nil {
		return req, true, err
	}
	defer clear(data)
	req.Request = &run.Request{}
	return req, true, json.Unmarshal(data, &req)
}

// sealRequest seals what an assignment has for the runner's key: the values to mask, and all of the request if it may have a secret.
func (s *Server) sealRequest(ctx context.Context, key string, as *api.Assignment, hasSecret bool) error {
	values := s.keys.Values()
	if as.Request.Step != "" {
		to, err := values.Recipient()
		if err != nil {
			return err
		}
		as.SealFor = to
	}
	if as.Request.Masked != nil {
		data, err := values.Unseal(ctx, as.Request.Masked)
		if err != nil {
			return fmt.Errorf("open the values to mask: %w", err)
		}
		defer clear(data)
		if as.Request.Masked, err = secret.SealFor(key, data); err != nil {
			return err
		}
	}
	if !hasSecret {
		return nil
	}
	data, err := json.Marshal(as.Request)
	if err != nil {
		return err
	}
	defer clear(data)
	as.Sealed, err = secret.SealFor(key, data)
	as.Request = nil
	return err
}
