package tooltest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/mayfly-run/mayfly/internal/httpmock"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/suite"
)

// maxInline is the size of the longest body that is written into the file of mocks, in bytes. A longer one gets its own file.
const maxInline = 4 << 10

// forward returns a Forward that passes on what the tool's own network allows after this host's policy.
func (s *testRun) forward() (*httpmock.Forward, error) {
	if s.tool == nil {
		return nil, errors.New("only tests of tools can be recorded; record those of the workflow's steps")
	}
	applied, err := s.Runner.Policy.Apply(s.tool)
	if err != nil {
		return nil, err
	}
	return httpmock.NewForward(*applied.Network, s.Roots), nil
}

// MockFile returns the path of the file for the test's recorded mocks, relative to the suite's folder: the file that the
// test or the suite names, or otherwise one with the suite's name.
func MockFile(s *suite.Suite, t *suite.Test) string {
	for _, ref := range []*suite.FileRef{t.MockFile, s.MockFile} {
		if ref != nil {
			return filepath.FromSlash(ref.Path)
		}
	}
	base := filepath.Base(s.Source.Path)
	for _, suffix := range []string{"_test.yaml", ".test.yaml", "_test.yml", ".test.yml", ".yaml", ".yml"} {
		if cut, ok := strings.CutSuffix(base, suffix); ok && cut != "" {
			base = cut
			break
		}
	}
	return base + ".mocks.yaml"
}

// record writes the requests that were passed on as mocks of the test, in place of those that it had.
func (s *testRun) record() error {
	if s.suite.Source.Dir == "" {
		return errors.New("the test isn't in a file, so there is no folder for its mocks; save it to a file")
	}
	name := MockFile(s.suite, s.test)
	w := &recorder{mask: s.secrets.redactor(true), dir: s.suite.Source.Dir, files: strings.TrimSuffix(name, filepath.Ext(name)), test: s.test.Name}
	list, err := w.mocks(s.mocks.forward.Exchanges())
	if err != nil {
		return fmt.Errorf("record test %q: %w", s.test.Name, err)
	}
	file := filepath.Join(s.suite.Source.Dir, name)
	if err := writeMocks(file, s.test.Name, list); err != nil {
		return fmt.Errorf("record test %q: %w", s.test.Name, err)
	}
	s.result.Recorded = file
	if s.suite.MockFile == nil && s.test.MockFile == nil {
		s.result.Notes = append(s.result.Notes, "to use what was recorded, add to the test file: mocks: "+filepath.ToSlash(name))
	}
	return nil
}

// recorder turns exchanges into mocks.
type recorder struct {
	mask  *secret.Redactor
	dir   string // the suite's
	files string // the folder of bodies, relative to it
	test  string
	n     int // files written
}

// mocks returns the exchanges as mocks: one for each method and address, with the answers in their order.
func (w *recorder) mocks(exchanges []httpmock.Exchange) (*yaml.Node, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	answers := map[string][]*yaml.Node{}
	var order []*httpmock.Exchange
	for i := range exchanges {
		e := &exchanges[i]
		key := e.Method + " " + e.URL
		if _, seen := answers[key]; !seen {
			order = append(order, e)
		}
		a, err := w.answer(e)
		if err != nil {
			return nil, err
		}
		answers[key] = append(answers[key], a)
	}
	for _, e := range order {
		mock := &yaml.Node{Kind: yaml.MappingNode}
		put(mock, "method", textNode(e.Method))
		// A secret in the address becomes ***, which any text matches.
		put(mock, "url", textNode(w.mask.String(e.URL)))
		all := answers[e.Method+" "+e.URL]
		if same(all) {
			mock.Content = append(mock.Content, all[0].Content...)
		} else {
			put(mock, "answers", &yaml.Node{Kind: yaml.SequenceNode, Content: all})
		}
		list.Content = append(list.Content, mock)
	}
	return list, nil
}

// same reports whether all answers are equal.
func same(all []*yaml.Node) bool {
	first, err := yaml.Marshal(all[0])
	return err == nil && !slices.ContainsFunc(all[1:], func(n *yaml.Node) bool {
		other, err := yaml.Marshal(n)
		return err != nil || !bytes.Equal(first, other)
	})
}

// keptHeaders returns the headers that a replay is likely to need. Cookies are not among them: they are credentials.
func keptHeaders() []string {
	return []string{
		"Content-Type", "Content-Encoding", "Content-Disposition", "Location", "Link", "Etag", "Last-Modified", "Retry-After",
		"Www-Authenticate", "X-Total-Count", "X-Next-Page", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", "Docker-Content-Digest",
	}
}

func (w *recorder) answer(e *httpmock.Exchange) (*yaml.Node, error) {
	if e.Truncated {
		return nil, fmt.Errorf("the answer to %s %s wasn't recorded completely: it is too large, or was cut off; write a mock for it in the test, with a file", e.Method, w.mask.String(e.URL))
	}
	a := &yaml.Node{Kind: yaml.MappingNode}
	put(a, "status", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(e.Status)})
	kind := e.Headers.Get("Content-Type")
	body := e.Body
	if e.Headers.Get("Content-Encoding") == "" { // masking can't find a secret in a compressed body
		body = []byte(w.mask.String(string(body)))
	}
	key, content, err := w.body(kind, e.Headers.Get("Content-Encoding") != "", body)
	if err != nil {
		return nil, err
	}
	headers := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range keptHeaders() {
		values := e.Headers.Values(name)
		if len(values) == 0 || name == "Content-Type" && key == "json" && kind == "application/json" {
			continue // the type that the key json sets anyway
		}
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, v := range values {
			list.Content = append(list.Content, textNode(w.mask.String(v)))
		}
		if len(values) == 1 {
			list = list.Content[0]
		}
		put(headers, name, list)
	}
	if len(headers.Content) > 0 {
		put(a, "headers", headers)
	}
	if key != "" {
		put(a, key, content)
	}
	return a, nil
}

// body returns the key and the value for a body: json, body, or file, whose file it writes. The key of an empty body is "".
func (w *recorder) body(kind string, encoded bool, data []byte) (key string, n *yaml.Node, err error) {
	if len(data) == 0 {
		return "", nil, nil
	}
	clean := utf8.Valid(data) && !encoded && !bytes.ContainsFunc(data, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f })
	if clean && len(data) <= maxInline {
		if strings.Contains(kind, "json") {
			if n, ok := jsonNode(data); ok {
				return "json", n, nil
			}
		}
		return "body", textNode(string(data)), nil
	}
	w.n++
	name := filepath.Join(w.files, fmt.Sprintf("%s-%d%s", slug(w.test), w.n, extension(kind, encoded)))
	if err := os.MkdirAll(filepath.Join(w.dir, w.files), 0o755); err != nil {
		return "", nil, err
	}
	if err := os.WriteFile(filepath.Join(w.dir, name), data, 0o644); err != nil {
		return "", nil, err
	}
	return "file", textNode(filepath.ToSlash(name)), nil
}

// jsonNode returns a JSON document as YAML. It returns false if data isn't JSON, or has a number that is too large for a
// definition.
func jsonNode(data []byte) (*yaml.Node, bool) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, false
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return valueNode(v)
}

func valueNode(v any) (*yaml.Node, bool) {
	switch v := v.(type) {
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, true
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v)}, true
	case string:
		return textNode(v), true
	case json.Number:
		n := &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}
		n.Tag = n.ShortTag()
		return n, shape.HoldsNumber(v) && (n.Tag == "!!int" || n.Tag == "!!float")
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v {
			c, ok := valueNode(item)
			if !ok {
				return nil, false
			}
			n.Content = append(n.Content, c)
		}
		return n, true
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode}
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			c, ok := valueNode(v[k])
			if !ok {
				return nil, false
			}
			put(n, k, c)
		}
		return n, true
	}
	return nil, false
}

// textNode returns a node for s that YAML reads back as a string.
func textNode(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func put(n *yaml.Node, key string, value *yaml.Node) {
	n.Content = append(n.Content, textNode(key), value)
}

// slug returns a part of a file name for a test's name: readable, and different for different names.
func slug(s string) string {
	sum := sha256.Sum256([]byte(s))
	out := strings.Trim(strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, s), "-")
	if out == "" {
		out = "test"
	}
	return out[:min(len(out), 40)] + "-" + hex.EncodeToString(sum[:4])
}

func extension(kind string, encoded bool) string {
	switch {
	case encoded:
		return ".bin"
	case strings.Contains(kind, "json"):
		return ".json"
	case strings.HasPrefix(kind, "text/html"):
		return ".html"
	case strings.Contains(kind, "xml"):
		return ".xml"
	case strings.HasPrefix(kind, "text/"):
		return ".txt"
	}
	return ".bin"
}
