// Webclient does the features that its arguments name, with package net/http, and prints each outcome.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	for _, feature := range os.Args[1:] {
		f := features[feature]
		if f == nil {
			fmt.Printf("%s\tunknown\n", feature)
			continue
		}
		outcome, err := f()
		var timeout net.Error
		switch {
		case errors.Is(err, syscall.ECONNRESET):
			outcome = "reset"
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
			outcome = "cut" // Linux reports a reset once, here to the write of another goroutine
		case errors.Is(err, syscall.ECONNREFUSED):
			outcome = "refused"
		case errors.As(err, &timeout) && timeout.Timeout():
			outcome = "timed out"
		case err != nil:
			outcome = err.Error()
		}
		fmt.Printf("%s\t%s\n", feature, outcome)
	}
}

type feature = func() (string, error)

var features = map[string]feature{
	"http-name":     get("http://no.such.example/hello"),
	"https-name":    get("https://no.such.example/hello"),
	"localhost":     get("http://localhost:8080/hello"),
	"127.0.0.1":     get("http://127.0.0.1:8081/hello"),
	"::1":           get("http://[::1]:8082/hello"),
	"localhost-tls": get("https://localhost:8443/hello"),
	"ipv4":          get("http://93.184.216.34/hello"),
	"ipv4-tls":      get("https://93.184.216.34/hello"),
	"ipv6-tls":      get("https://[2001:db8::1]/hello"),
	"keep-alive":    thrice("http://keep.example/hello"),
	"http2":         get("https://h2.example/hello"),
	"http2-plain": func() (string, error) {
		var p http.Protocols
		p.SetUnencryptedHTTP2(true)
		t := &http.Transport{Protocols: &p}
		defer t.CloseIdleConnections()
		return send(&http.Client{Transport: t}, http.MethodGet, "http://h2c.example/hello", nil)
	},
	"chunked": func() (string, error) {
		body := io.MultiReader(strings.NewReader(`{"chu`), strings.NewReader(`nked": true}`))
		return send(client, http.MethodPost, "http://api.example/chunked", body, "Content-Type", "application/json")
	},
	"gzip": get("http://api.example/zipped"),
	"gzip-request": func() (string, error) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := io.WriteString(z, `{"zipped": true}`); err != nil {
			return "", err
		}
		if err := z.Close(); err != nil {
			return "", err
		}
		return send(client, http.MethodPost, "http://api.example/unzipped", &b, "Content-Encoding", "gzip")
	},
	"redirects": get("http://old.example/moved"),
	"redirect-post": func() (string, error) {
		return send(client, http.MethodPost, "http://api.example/kept", strings.NewReader(`{"kept": true}`))
	},
	"head":       func() (string, error) { return send(client, http.MethodHead, "http://api.example/hello", nil) },
	"no-content": get("http://api.example/none"),
	"delay":      get("http://api.example/late"),
	"reset":      get("http://api.example/reset"),
	"never": func() (string, error) {
		return send(&http.Client{Timeout: time.Second}, http.MethodGet, "http://api.example/never", nil)
	},
	"continue": func() (string, error) {
		c := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 20 * time.Second}}
		return send(c, http.MethodPut, "http://api.example/continued", strings.NewReader("body"), "Expect", "100-continue")
	},
	"sequence": thrice("http://api.example/sequence"),
	"parallel": func() (string, error) {
		var good atomic.Int64
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if out, err := send(client, http.MethodGet, "http://together.example/together", nil); err == nil && out == "200 together" {
					good.Add(1)
				}
			})
		}
		all.Wait()
		return fmt.Sprint(good.Load()), nil
	},
	"own-server": func() (string, error) {
		l, err := net.Listen("tcp", "127.0.0.1:9000")
		if err != nil {
			return "", err
		}
		go func() {
			_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "own") }))
		}()
		return send(client, http.MethodGet, "http://127.0.0.1:9000/own.txt", nil)
	},
	"other-port":    get("http://127.0.0.1:9001/hello"),
	"unmatched":     get("http://no.such.example/hallo"),
	"unmatched-tls": get("https://no.such.example/hallo"),
	"denied":        get("http://denied.example/hello"),
	"command": func() (string, error) {
		c := exec.Command("deploy", "--app", "a b", "")
		c.Stdin = strings.NewReader("from go")
		out, err := c.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return string(out), err
		}
		return fmt.Sprintf("%s %s %d", strings.TrimSpace(string(out)), strings.TrimSpace(string(exit.Stderr)), exit.ExitCode()), nil
	},
}

// client speaks HTTP/2 if the server does.
var client = http.DefaultClient

func get(url string) feature {
	return func() (string, error) { return send(client, http.MethodGet, url, nil) }
}

func thrice(url string) feature {
	return func() (string, error) {
		var codes []string
		for range 3 {
			out, err := send(client, http.MethodGet, url, nil)
			if err != nil {
				return "", err
			}
			code, _, _ := strings.Cut(out, " ")
			codes = append(codes, code)
		}
		return strings.Join(codes, " "), nil
	}
}

func send(c *http.Client, method, url string, body io.Reader, headers ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return "", err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, text)), err
}
