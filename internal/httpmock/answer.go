package httpmock

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/suite"
)

// answer sends the answer of a request's mock.
func (r *Responder) answer(w http.ResponseWriter, req *http.Request, c *connection, record *Request, a *suite.HTTPAnswer) {
	r.pause(a.Delay, c)
	switch {
	case a.Timeout:
		select {
		case <-req.Context().Done():
		case <-r.connections.Ending():
		}
		r.left(req, c)
	case a.Reset:
		r.abort(c)
	}
	status := a.Status
	if status == 0 {
		status = http.StatusOK
	}
	h := w.Header()
	for _, header := range a.Headers {
		h.Add(header.Name, header.Value)
	}
	r.records.Change(func() { record.Status = status })
	if status == http.StatusNoContent || status == http.StatusNotModified {
		w.WriteHeader(status)
		return
	}
	if len(a.Chunks) > 0 {
		w.WriteHeader(status)
		r.chunks(w, req, c, a.Chunks)
		return
	}
	content, size, err := r.content(a, h)
	if err != nil {
		// This is a mistake in the test; its report shows it.
		r.records.Change(func() { record.Status, record.Problem = 0, fmt.Sprintf("%s: %s: %v", record, record.Mock, err) })
		r.abort(c)
	}
	defer content.Close()
	if h.Get("Content-Length") == "" {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	w.WriteHeader(status)
	if req.Method == http.MethodHead {
		return
	}
	if _, err := io.Copy(w, content); err != nil {
		r.left(req, c) // the tool has gone, or the mock's Content-Length is too short
	}
}

// pause waits for the delay. A client that has closed its half may still wait for the answer, so only the end of the test
// cuts a delay short.
func (r *Responder) pause(delay time.Duration, c *connection) {
	if delay <= 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.connections.Ending():
		r.abort(c)
	}
}

// chunks sends a body in parts.
func (r *Responder) chunks(w http.ResponseWriter, req *http.Request, c *connection, chunks []suite.Chunk) {
	if req.Method == http.MethodHead {
		return
	}
	flush := http.NewResponseController(w)
	for _, chunk := range chunks {
		r.pause(chunk.Delay, c)
		_, err := io.WriteString(w, chunk.Body)
		if err == nil {
			err = flush.Flush()
		}
		if err != nil {
			r.left(req, c) // the tool has gone
		}
	}
}

// left ends the handler of a request that the client has abandoned. Over HTTP/2 only that stream ends, and the others go on.
func (r *Responder) left(req *http.Request, c *connection) {
	if req.ProtoMajor == 2 && req.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	r.abort(c)
}

// content returns the body of an answer and its size in bytes, and adds the body's type to the headers. Text and JSON are
// compressed if the mock's headers say gzip. A file and binary data are sent unchanged.
func (r *Responder) content(a *suite.HTTPAnswer, h http.Header) (content io.ReadCloser, size int64, err error) {
	if a.File != "" {
		return r.file(a.File, h)
	}
	if len(a.Data) > 0 {
		if h.Get("Content-Type") == "" {
			h.Set("Content-Type", "application/octet-stream")
		}
		return io.NopCloser(bytes.NewReader(a.Data)), int64(len(a.Data)), nil
	}
	text, kind := a.Body, "text/plain; charset=utf-8"
	if a.JSON != "" {
		text, kind = a.JSON, "application/json"
	}
	if text != "" && h.Get("Content-Type") == "" {
		h.Set("Content-Type", kind)
	}
	data := []byte(text)
	if strings.EqualFold(h.Get("Content-Encoding"), "gzip") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write(data)
		if err := errors.Join(err, z.Close()); err != nil {
			return nil, 0, err // a buffer takes everything
		}
		data = b.Bytes()
	}
	return io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil
}

// file opens a file of the suite's folder.
func (r *Responder) file(name string, h http.Header) (content io.ReadCloser, size int64, err error) {
	f, size, err := openInside(r.opts.Dir, name)
	if err != nil {
		return nil, 0, fmt.Errorf("its file %s: %w", name, shape.WithoutCall(err))
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", kindOf(name))
	}
	return f, size, nil
}

// openInside opens a regular file inside a folder. A link that leads out of the folder is an error.
func openInside(dir, name string) (f *os.File, size int64, err error) {
	if dir == "" {
		return nil, 0, errors.New("the test isn't in a file, so there is no folder for its files")
	}
	f, err = document.OpenInside(dir, name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// kindOf returns the media type of a file by its name. Package mime reads tables of the machine, and they differ.
func kindOf(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".json":
		return "application/json"
	case ".html", ".htm":
		return "text/html; charset=utf-8"
	case ".xml":
		return "application/xml"
	case ".yaml", ".yml":
		return "application/yaml"
	case ".txt", ".csv", ".md", ".log":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}
