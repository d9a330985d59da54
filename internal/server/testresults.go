package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/run"
	tooltest "github.com/mayfly-run/mayfly/internal/tooltest/report"
)

func (s *Server) registerTestResults() {
	huma.Register(s.api, operation("run-tests", http.MethodGet, "/projects/{project}/runs/{run}/tests", RoleViewer,
		"Get how the tests of a run have ended so far, and the files that a recording has written"), s.runTests)
}

// mostTestBytes bounds an answer.
const mostTestBytes = 16 << 20

// TestResults are those of a run of tests.
type TestResults struct {
	Tests    []tooltest.Event    `json:"tests" doc:"those that have ended, in order"`
	Recorded []tooltest.Recorded `json:"recorded" doc:"the files that a recording has written, once all tests have ended"`
	Omitted  int                 `json:"omitted,omitempty" doc:"how many are in neither, since the answer would be too large; the events of the run have them"`
}

func (s *Server) runTests(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*body[TestResults], error) {
	out := TestResults{Tests: []tooltest.Event{}, Recorded: []tooltest.Recorded{}}
	size := 0
	for _, kind := range []string{run.TypeTest, run.TypeRecorded} {
		var wrong error
		r, err := s.readEvents(ctx, in.Project, in.Run, kind, func(e *run.Event) {
			if e.Other == nil || e.Other.Type != kind || wrong != nil {
				return
			}
			var data []byte
			if data, wrong = json.Marshal(e.Other); wrong != nil {
				return
			}
			if size += len(data); size > mostTestBytes {
				out.Omitted++
				return
			}
			wrong = out.add(kind, data)
		})
		if err == nil && wrong != nil {
			err = s.explain(fmt.Errorf("read an event: %w", wrong), "run "+in.Run)
		}
		if err != nil {
			return nil, err
		}
		if r.Kind != kindTest {
			break
		}
	}
	return &body[TestResults]{Body: out}, nil
}

func (t *TestResults) add(kind string, data []byte) error {
	if kind == run.TypeTest {
		var e tooltest.Event
		err := json.Unmarshal(data, &e)
		e.Type = run.TypeTest
		t.Tests = append(t.Tests, e)
		return err
	}
	var e tooltest.Recorded
	err := json.Unmarshal(data, &e)
	t.Recorded = append(t.Recorded, e)
	return err
}
