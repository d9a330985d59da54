package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/store"
)

// A run may be given secrets of its own, which take the place of the project's with their names. They are sealed for the server's keys in
// the run's row of the queue, and nowhere else: it is removed in the transaction that ends the run. Everything else that is kept of the run
// has only their names.

// mostGiven bounds the secrets of a run together, in bytes: each report of its runner writes its row.
const mostGiven = 256 << 10

// givenSecrets are those of a run, before they are sealed. They are of no other run: whoever could write to the database could give another
// one's tool what it prints otherwise.
type givenSecrets struct {
	Run    string            `json:"run"`
	Values map[string][]byte `json:"values"`
}

// give gives a run secrets, whose values are in base64, and returns them as the store keeps them.
func (s *Server) give(ctx context.Context, req *run.Request, secrets map[string]string) ([]byte, error) {
	req.Given = nil
	if len(secrets) == 0 {
		return nil, nil
	}
	named := secretsOf(req.Tools())
	all := givenSecrets{Run: req.ID, Values: map[string][]byte{}}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if !slices.Contains(named, name) {
			hint := "leave it out; the tool names no secrets"
			if len(named) > 0 {
				hint = shape.DidYouMean(name, named, "the secrets that it names are "+shape.Listing(named))
			}
			return nil, wrongGiven(fmt.Sprintf("the tool names no secret %.300q", name), hint)
		}
		value, err := base64.StdEncoding.DecodeString(secrets[name])
		if err != nil || len(value) == 0 {
			return nil, wrongGiven(fmt.Sprintf("the value of the secret %s is empty, or not in base64", name), "send its value in base64")
		}
		defer clear(value)
		if size += len(value); size > mostGiven {
			return nil, wrongGiven(fmt.Sprintf("the secrets are larger than %d KiB together", mostGiven>>10), "set the large ones in the project")
		}
		all.Values[name] = value
		req.Given = append(req.Given, name)
	}
	data, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	return s.keys.Values().Seal(ctx, data)
}

func wrongGiven(text, remedy string) error {
	return wrongAt("body.secrets", text, remedy)
}

func noneForWorkflows() error {
	return wrongGiven("secrets for one run are for tools, and this is a workflow", "set them in the project: mayfly secret set NAME")
}

// givenAgain refuses to repeat a run without the secrets that it was given.
func givenAgain(had []string, again map[string]string) error {
	var missing []string
	p := problem(http.StatusUnprocessableEntity, run.CodeSecretNotFound, "", "give them again, in secrets")
	for _, name := range had {
		if _, ok := again[name]; !ok {
			missing = append(missing, name)
			p.Errors = append(p.Errors, api.Wrong{Where: "body.secrets." + name, Message: "the value isn't kept", Hint: "give it again: in secrets, or with mayfly rerun RUN --secret " + name + "=env:VARIABLE"})
		}
	}
	if len(missing) == 0 {
		return nil
	}
	p.Detail = fmt.Sprintf("the run was given secrets of its own, which the server doesn't keep: %s", shape.Listing(missing))
	return p
}

// keptSecrets are the names of the secrets that a run gets from its project.
func keptSecrets(req *run.Request) []string {
	return slices.DeleteFunc(slices.Clone(req.SecretNames()), func(name string) bool { return slices.Contains(req.Given, name) })
}

// needGiven has only servers hand the run out that know what it was given.
func needGiven(row *store.NewRun) {
	row.Needs = slices.DeleteFunc(slices.Clone(row.Needs), func(l string) bool { return l == needsSecrets })
	if row.Secrets != nil {
		row.Needs = append(row.Needs, needsSecrets)
	}
}

// openGiven opens the secrets that the run of an attempt was given.
func (s *Server) openGiven(ctx context.Context, as *api.Assignment, sealed []byte) (map[string][]byte, error) {
	all := givenSecrets{Values: map[string][]byte{}}
	if sealed != nil {
		data, err := s.keys.Values().Unseal(ctx, sealed)
		if err != nil {
			return nil, err
		}
		defer clear(data)
		if err := json.Unmarshal(data, &all); err != nil {
			return nil, err
		}
		if all.Run != as.Run {
			return nil, errors.New("they are those of another run")
		}
	}
	for _, name := range as.Request.Given {
		if all.Values[name] == nil { // never the project's instead
			return nil, &secret.NotFoundError{Name: name, Searched: []string{"the secrets that the run was given"}}
		}
	}
	return all.Values, nil
}
