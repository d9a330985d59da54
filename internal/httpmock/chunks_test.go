package httpmock

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// TestChunks checks that a part is sent after its delay, without waiting for the next part.
func TestChunks(t *testing.T) {
	b := listen(t, `
  - {path: /events, headers: {Content-Type: text/event-stream}, chunks: [{body: "data: one\n\n"}, {delay: 1ms, body: "data: two\n\n"}, {delay: 5m, body: "data: late\n\n"}]}
  - {path: /all, chunks: [{body: a}, {body: "", delay: 1ms}, {body: b}]}
`, engine.MockedConnection{Address: "127.0.0.1", Loopback: true})
	get := func(ctx context.Context, path string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+b.port+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp := get(ctx, "/events")
	const want = "data: one\n\ndata: two\n\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	if resp.Header.Get("Content-Type") != "text/event-stream" || resp.ContentLength != -1 {
		t.Errorf("headers %v, length %d, want an event stream without a length", resp.Header, resp.ContentLength)
	}
	_ = resp.Body.Close()
	resp = get(ctx, "/all")
	if all, err := io.ReadAll(resp.Body); err != nil || string(all) != "ab" {
		t.Errorf("got %q (%v), want ab", all, err)
	}
	_ = resp.Body.Close()
}
