package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestClientFollowsPages has a list of three pages. An error of a later one is the error of all.
func TestClientFollowsPages(t *testing.T) {
	last := `{"secrets":[{"name":"c"}]}`
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		text := map[string]string{"": `{"secrets":[{"name":"a"}],"next":"a&b"}`, "a&b": `{"secrets":[{"name":"b"}],"next":"b"}`, "b": last}[r.URL.Query().Get("cursor")]
		if text == "" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write([]byte(text)) // the client says so
	}))
	defer server.Close()
	c, err := NewClient(ClientOptions{Server: server.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := c.Secrets(t.Context(), "p")
	names := ""
	for _, one := range all {
		names += one.Name
	}
	if want := "[limit=1000 cursor=a%26b&limit=1000 cursor=b&limit=1000]"; err != nil || names != "abc" || fmt.Sprint(asked) != want {
		t.Errorf("%q, %v, asked for %q", names, err, asked)
	}
	last = ""
	if all, err := c.Secrets(t.Context(), "p"); err == nil || all != nil {
		t.Errorf("without the last page: %+v, %v", all, err)
	}
}
