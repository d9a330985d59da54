package image

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// drip is a registry that sends size bytes after each pause.
type drip struct {
	ctx   context.Context
	pause time.Duration
	size  int
}

func (d *drip) Read(p []byte) (int, error) {
	select {
	case <-time.After(d.pause):
		return min(d.size, len(p)), nil
	case <-d.ctx.Done():
		return 0, context.Cause(d.ctx)
	}
}

// TestWatchdogHoldsRegistriesToARate runs with the fake clock of synctest.
func TestWatchdogHoldsRegistriesToARate(t *testing.T) {
	for name, c := range map[string]struct {
		drip  drip
		spell time.Duration // how long we do something else after each read
		after time.Duration // the time after which the watchdog must have cancelled; never if zero
	}{
		"a byte a second":       {drip{pause: time.Second, size: 1}, 0, 62 * time.Second},
		"silence":               {drip{pause: time.Hour, size: 1}, 0, 30 * time.Second},
		"bytes just in time":    {drip{pause: 29 * time.Second, size: 1}, 0, 61 * time.Second},
		"half the rate":         {drip{pause: time.Second, size: 500}, 0, 122 * time.Second},
		"the rate":              {drip{pause: time.Second, size: 1000}, 0, 0},
		"a bit in a long while": {drip{pause: 20 * time.Second, size: 20_000}, 0, 0},
		"a slow disk of ours":   {drip{pause: time.Millisecond, size: 1000}, time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				s := openStore(t, t.TempDir(), Options{})
				w := watch(s.opts, "r.example.com", cancel)
				defer w.stop()
				c.drip.ctx = ctx
				r := w.reader(&c.drip)
				begin := time.Now()
				for time.Since(begin) < time.Hour {
					if _, err := r.Read(make([]byte, 32<<10)); err != nil {
						if !errors.Is(err, ErrStalled) || c.after == 0 || time.Since(begin) > c.after {
							t.Errorf("after %v: got %v, want ErrStalled within %v", time.Since(begin), err, c.after)
						}
						return
					}
					time.Sleep(c.spell)
				}
				if c.after != 0 {
					t.Error("the watchdog never cancels")
				}
			})
		})
	}
}

// TestWatchdogForgetsHaste checks that a registry that sent most of a layer fast is still given up when it becomes slow.
func TestWatchdogForgetsHaste(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		s := openStore(t, t.TempDir(), Options{})
		w := watch(s.opts, "r.example.com", cancel)
		defer w.stop()
		d := &drip{ctx: ctx, pause: time.Millisecond, size: 1 << 20}
		r := w.reader(d)
		for range 1000 {
			if _, err := r.Read(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
		}
		d.pause, d.size = time.Second, 1
		begin := time.Now()
		for time.Since(begin) < 62*time.Second {
			if _, err := r.Read(make([]byte, 1)); err != nil {
				return
			}
		}
		t.Error("the watchdog still waits")
	})
}

// TestPullFromSlowRegistries is M09: a slow registry delays a pull only up to its limits, whatever it sends slowly.
func TestPullFromSlowRegistries(t *testing.T) {
	layer := imagetest.Tar(t, file{Name: "f", Body: strings.Repeat("0123456789", 10_000)})
	img := imagetest.Build(t, imagetest.Config{}, layer)
	dripping := func(part string) imagetest.Middleware {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if !strings.Contains(r.URL.Path, part) {
				next.ServeHTTP(w, r)
				return
			}
			dripUntilGone(w, r)
		}
	}
	for name, m := range map[string]imagetest.Middleware{
		"manifest": dripping("/manifests/"),
		"config":   dripping("/blobs/" + imagetest.Digest(img.Config).String()),
		"layer":    dripping("/blobs/" + imagetest.Digest(layer).String()),
		"token": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.URL.Path == "/token" {
				dripUntilGone(w, r)
				return
			}
			bearerAuth("")(w, r, next)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := imagetest.Serve(t, m)
			imagetest.PushImage(t, r.Host+"/app:1", img)
			o := testOptions()
			o.Attempts, o.RateWindow, o.DocumentTimeout = 2, 300*time.Millisecond, 300*time.Millisecond
			if name == "layer" {
				o.DocumentTimeout = time.Hour // only the rate applies
			} else {
				o.RateWindow = time.Hour // only the deadline applies
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the pull took a minute"))
			defer cancel()
			s := openStore(t, t.TempDir(), o)
			_, err := s.Pull(ctx, r.Host+"/app:1", PullOptions{})
			wantKind(t, err, ErrStalled)
			nothingStored(t, s)
		})
	}
}

func dripUntilGone(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, " "); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-time.After(10 * time.Millisecond):
		case <-r.Context().Done():
		}
	}
}

// TestNoAnswer checks that a registry that doesn't answer a request has stalled,
// whether the transport's timer or the watchdog expires first.
func TestNoAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: time.Millisecond}}
	answer, err := client.Get(server.URL)
	if err == nil {
		_ = answer.Body.Close()
	}
	if err = explain("r.example", err); !errors.Is(err, ErrStalled) {
		t.Error(err)
	}
}
