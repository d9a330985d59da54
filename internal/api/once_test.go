package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mayfly-run/mayfly/internal/run"
)

// TestCreateAgain has a server refuse what makes something, once: the request comes again, with the same key, if that may help.
func TestCreateAgain(t *testing.T) {
	for code, want := range map[run.Code]int{run.CodeBusy: 2, run.CodeServerUnreachable: 2, run.CodeDatabase: 1, run.CodeArchive: 1} {
		t.Run(string(code), func(t *testing.T) {
			var keys []string
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if keys = append(keys, r.Header.Get(KeyHeader)); len(keys) == 1 {
					w.Header().Set("Content-Type", "application/problem+json")
					w.WriteHeader(http.StatusServiceUnavailable)
					_ = json.NewEncoder(w).Encode(&Problem{Status: http.StatusServiceUnavailable, Reason: code}) // the client fails otherwise
					return
				}
				_, _ = w.Write([]byte("{}")) // the client fails otherwise
			}))
			defer front.Close()
			c, err := NewClient(ClientOptions{Server: front.URL})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.CreateRun(t.Context(), "p", &NewRun{Tool: "t"})
			if (err == nil) != (want == 2) || len(keys) != want || keys[0] == "" || keys[0] != keys[want-1] {
				t.Errorf("%v, sent with the keys %q, want %d", err, keys, want)
			}
		})
	}
}
