package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/shape"
)

type originKind int

const (
	originEnv originKind = iota
	originFile
	originStdin
)

// origin is the place of a value. It is read only once, since a pipe can't be read again.
type origin struct {
	kind  originKind
	arg   string // the variable or the path
	stdin io.Reader

	mu    sync.Mutex
	done  bool
	value []byte
	err   error
}

func parseOrigin(from string, stdin io.Reader) (*origin, error) {
	scheme, arg, _ := strings.Cut(from, ":")
	switch {
	case from == "-" && stdin == nil:
		return nil, errors.New("there is no standard input to read it from")
	case from == "-":
		return &origin{kind: originStdin, stdin: stdin}, nil
	case scheme == "env" && arg != "" && !strings.ContainsAny(arg, "=\x00"):
		return &origin{kind: originEnv, arg: arg}, nil
	case scheme == "file" && arg != "" && !strings.Contains(arg, "\x00"):
		return &origin{kind: originFile, arg: arg}, nil
	case from == "env:" || from == "file:":
		return nil, errors.New("write env:VARIABLE or file:PATH in full")
	}
	return nil, errLiteral
}

// String returns the origin as the user writes it.
func (o *origin) String() string {
	switch o.kind {
	case originEnv:
		return "env:" + o.arg
	case originFile:
		return "file:" + o.arg
	}
	return "-"
}

// read returns a copy of the value. The first call reads it. If ctx ends, the reading goes on in the background, since it can't be
// interrupted; a later call waits for it again.
func (o *origin) read(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	got := make(chan struct{})
	go func() {
		defer close(got)
		o.mu.Lock()
		defer o.mu.Unlock()
		if !o.done {
			o.value, o.err = o.fetch()
			o.done = true
		}
	}()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-got:
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.value), o.err
}

// missing returns an error if the origin doesn't exist, without reading it.
func (o *origin) missing() error {
	switch o.kind {
	case originEnv:
		switch value, ok := os.LookupEnv(o.arg); {
		case !ok:
			return fmt.Errorf("there is no variable %s in the environment; export it first", o.arg)
		case value == "":
			return fmt.Errorf("the variable %s is empty; set it to the secret's value", o.arg)
		}
	case originFile:
		if _, err := os.Stat(o.arg); err != nil {
			return fileError(err)
		}
	}
	return nil
}

func (o *origin) fetch() ([]byte, error) {
	switch o.kind {
	case originEnv:
		if err := o.missing(); err != nil {
			return nil, err
		}
		value := os.Getenv(o.arg)
		if len(value) > MaxValueBytes {
			return nil, errTooLarge
		}
		return []byte(value), nil
	case originFile:
		f, err := os.Open(o.arg)
		if err != nil {
			return nil, fileError(err)
		}
		defer f.Close()
		return readValue(f)
	case originStdin:
		value, err := readValue(o.stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return withoutLineEnd(value), nil
	}
	return nil, fmt.Errorf("secrets can't be read from an origin of kind %d", o.kind)
}

// fileError adds to the error for a file that can't be opened what to do about it.
func fileError(err error) error {
	err = shape.WithoutCall(err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; give the path of the file that has the secret's value", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; let the user who runs mayfly read the file", err)
	}
	return err
}

// withoutLineEnd removes one line break from the end of standard input: echo and people add one, and tokens have none. The bytes of
// files and variables stay unchanged.
func withoutLineEnd(value []byte) []byte {
	if cut, ok := bytes.CutSuffix(value, []byte("\n")); ok {
		return bytes.TrimSuffix(cut, []byte("\r"))
	}
	return value
}

var errTooLarge = fmt.Errorf("the value is larger than %d bytes, the limit for a secret", MaxValueBytes)

// readValue reads a value of at most MaxValueBytes bytes.
func readValue(r io.Reader) ([]byte, error) {
	value, err := document.Read(r, MaxValueBytes)
	if err != nil {
		clear(value)
	}
	if errors.Is(err, document.ErrTooLarge) {
		return nil, errTooLarge
	}
	return value, err
}
