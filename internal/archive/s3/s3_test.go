//go:build linux

package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/archive/archivetest"
	"github.com/mayfly-run/mayfly/internal/archive/s3"
	"github.com/mayfly-run/mayfly/internal/archive/s3/s3test"
)

func open(t *testing.T, address string, o s3.Options) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(address, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBucket(t *testing.T) {
	server := s3test.Start(t)
	for _, prefix := range []string{"", "some/prefix"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			archivetest.Run(t, func(t *testing.T) archive.Storage {
				b := open(t, server.Bucket(t, prefix), s3.Options{})
				if err := b.Check(t.Context()); err != nil {
					t.Fatal(err)
				}
				return b
			})
		})
	}
	t.Run("no bucket", func(t *testing.T) {
		b := open(t, server.Address("none", ""), s3.Options{})
		says(t, b.Check(t.Context()), "use the archive s3://none/ at "+strings.TrimPrefix(server.Endpoint, "http://")+
			": it answers 404 NoSuchBucket: there is no such bucket; make the bucket, or correct --archive")
	})
	t.Run("wrong key", func(t *testing.T) {
		address := server.Bucket(t, "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-canary")
		b := open(t, address, s3.Options{})
		err := b.Put(t.Context(), "a", strings.NewReader("x"))
		says(t, err, "write a in the archive s3://", " it answers 403 SignatureDoesNotMatch: ", "; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what this key may do in the bucket")
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("the error has the key: %v", err)
		}
	})
}

func says(t *testing.T, err error, parts ...string) {
	t.Helper()
	var what *archive.Error
	if !errors.As(err, &what) {
		t.Errorf("got %v, want an archive.Error", err)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got  %v\nwant %s", err, part)
		}
	}
}

func TestAddress(t *testing.T) {
	for address, want := range map[string]string{
		"s3:///a":                       "the archive's address is not s3://BUCKET/PREFIX?endpoint=URL&region=REGION",
		"https://bucket/a":              "the archive's address is not s3://BUCKET/PREFIX?endpoint=URL&region=REGION",
		"s3://canary:canary@bucket/a":   "the archive's address has credentials; put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead",
		"s3://b/a":                      `"b" in the archive's address is not the name of a bucket: Bucket name cannot be shorter than 3 characters`,
		"s3://bucket/../a":              `the archive's prefix: "../a" is not the name of an object`,
		"s3://bucket?secret=canary":     `the archive's address has "secret"; only endpoint and region may follow the ?`,
		"s3://bucket?endpoint=host":     "the endpoint in the archive's address is not https://HOST:PORT, or http://HOST:PORT without encryption",
		"s3://bucket?endpoint=ftp://a":  "the endpoint in the archive's address is not https://HOST:PORT, or http://HOST:PORT without encryption",
		"s3://buc ket%zz?endpoint=http": "the archive's address is not s3://BUCKET/PREFIX?endpoint=URL&region=REGION",
	} {
		if _, err := s3.Open(address, s3.Options{}); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", address, err, want)
		}
	}
}

// hostile serves storage that goes wrong.
func hostile(t *testing.T, h http.HandlerFunc) *s3.Bucket {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretKey)
	front := httptest.NewServer(h)
	t.Cleanup(front.Close)
	return open(t, "s3://bbb?region=r&endpoint="+url.QueryEscape(front.URL), s3.Options{Stall: 300 * time.Millisecond, Tries: 2})
}

func read(ctx context.Context, b *s3.Bucket, offset, length int64) (string, error) {
	r, _, err := b.Open(ctx, "a", offset, length)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(r)
	return string(data), errors.Join(err, r.Close())
}

func fill(w http.ResponseWriter, status int, size int, text string) {
	w.Header().Set("Content-Length", fmt.Sprint(size))
	w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
	w.Header().Set("ETag", `"e"`)
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// TestHostile has the storage answer wrongly: no read gives bytes that weren't asked for, or fewer, without an error.
func TestHostile(t *testing.T) {
	for _, c := range []struct {
		name           string
		offset, length int64
		answer         http.HandlerFunc
		want           []string
	}{
		{"short", 0, -1, func(w http.ResponseWriter, _ *http.Request) { fill(w, 200, 10, "0123") }, []string{"read a in the archive s3://bbb/ at ", "unexpected EOF"}},
		{"short part", 2, 4, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 2-4/10")
			fill(w, 206, 3, "234")
		}, []string{"it answers with 3 bytes, not the 4 that were asked for"}},
		{"whole for a part", 2, 4, func(w http.ResponseWriter, _ *http.Request) { fill(w, 200, 10, "0123456789") }, []string{"it answers with 10 bytes, not the 4 that were asked for"}},
		{"past the end", 2, 40, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 2-9/10")
			fill(w, 206, 8, "23456789")
		}, []string{"it has 10 bytes, and none from 2 to 42"}},
		{"bad range", 2, 4, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes many")
			fill(w, 206, 4, "2345")
		}, []string{`it answers with the Content-Range "bytes many"`}},
		{"stalls in the middle", 0, -1, func(w http.ResponseWriter, r *http.Request) {
			fill(w, 200, 10, "0123")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, []string{"read a in the archive", "it has sent or taken nothing for too long; check that the storage runs and can be reached from this machine"}},
		{"never answers", 0, -1, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, []string{"read a in the archive", "check that the storage runs"}},
		{"500", 0, -1, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, []string{"it answers 500 ", "look at the storage's own log"}},
		{"403", 0, -1, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, []string{"it answers 403 ", "check AWS_ACCESS_KEY_ID"}},
		{"full", 0, -1, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInsufficientStorage) }, []string{"it answers 507 ", "make room in the storage"}},
		{"a page", 0, -1, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			io.WriteString(w, "<html>proxy</html>")
		}, []string{"it answers 502 ", "look at the storage's own log"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := hostile(t, c.answer)
			text, err := read(t.Context(), b, c.offset, c.length)
			if err == nil {
				t.Fatalf("read %q, want an error", text)
			}
			says(t, err, c.want...)
		})
	}
	t.Run("404", func(t *testing.T) {
		b := hostile(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
		if _, err := read(t.Context(), b, 0, -1); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v, want %v", err, os.ErrNotExist)
		}
	})
	t.Run("put that fails", func(t *testing.T) {
		b := hostile(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusInternalServerError)
		})
		says(t, b.Put(t.Context(), "a", strings.NewReader("x")), "write a in the archive s3://bbb/ at ", "it answers 500 ")
	})
	t.Run("unreachable", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "k")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
		b := open(t, "s3://bbb?region=r&endpoint=http://127.0.0.1:1", s3.Options{Tries: 1})
		_, err := read(t.Context(), b, 0, -1)
		says(t, err, "read a in the archive s3://bbb/ at 127.0.0.1:1: ", "connection refused; check that the storage runs and can be reached from this machine")
	})
	t.Run("the caller leaves", func(t *testing.T) {
		b := hostile(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, err := read(ctx, b, 0, -1); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}

// TestListStalls lists a bucket whose storage stops in the middle of its answer.
func TestListStalls(t *testing.T) {
	leave := make(chan struct{})
	b := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "<ListBucketResult>")
		_ = http.NewResponseController(w).Flush()
		<-leave
	})
	t.Cleanup(func() { close(leave) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := b.List(ctx, "", func(archive.Object) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "it has sent or taken nothing for too long; check that the storage runs") {
		t.Errorf("got %v", err)
	}
}
