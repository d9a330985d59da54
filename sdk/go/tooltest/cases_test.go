package tooltest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestSharedCases runs the cases of test/matching, which mayfly and the SDK for Python run too. It leaves out cases whose
// comparisons Request and Call can't express.
func TestSharedCases(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "test", "matching", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name    string
		Want    map[string]json.RawMessage
		Request *RecordedRequest
		Call    *RecordedCall
		Match   bool
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	run := 0
	for _, c := range cases {
		var differs bool
		if c.Request != nil {
			want, ok := wantedRequest(t, c.Want)
			if !ok {
				continue
			}
			differs = len(differences(want, c.Request)) > 0
		} else {
			want, ok := wantedCall(t, c.Want)
			if !ok {
				continue
			}
			differs = want.Command != c.Call.Command || callDifference(want, c.Call) != ""
		}
		run++
		if differs == c.Match {
			t.Errorf("%s: match %t, want %t", c.Name, !differs, c.Match)
		}
	}
	if run < 150 {
		t.Errorf("only %d cases", run)
	}
}

// decodes reports whether data, decoded strictly, has the type of into.
func decodes(data json.RawMessage, into any) bool {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	return dec.Decode(into) == nil
}

// only reports whether a matcher has only this condition, with one text.
func only(data json.RawMessage, condition string, into *string) bool {
	var m map[string]string
	if !decodes(data, &m) || len(m) != 1 {
		return false
	}
	text, ok := m[condition]
	*into = text
	return ok
}

func wantedRequest(t *testing.T, keys map[string]json.RawMessage) (*Request, bool) {
	t.Helper()
	r := &Request{}
	for key, value := range keys {
		ok := true
		switch key {
		case "method":
			ok = decodes(value, &r.Method)
		case "url":
			ok = decodes(value, &r.URL)
		case "host":
			ok = decodes(value, &r.Host)
		case "port":
			ok = decodes(value, &r.Port)
		case "path":
			ok = decodes(value, &r.Path) || only(value, "regex", &r.PathRegex)
		case "query":
			ok = decodes(value, &r.Query) && !bytes.Contains(value, []byte("null"))
		case "headers":
			ok = decodes(value, &r.Headers) && !bytes.Contains(value, []byte("null"))
		case "body":
			ok = decodes(value, &r.Body) || only(value, "contains", &r.BodyContains)
		case "json":
			ok = decodes(value, &r.JSON) && r.JSON != nil
		default:
			t.Fatalf("the key %s of a request is new", key)
		}
		if !ok {
			return nil, false
		}
	}
	return r, true
}

func wantedCall(t *testing.T, keys map[string]json.RawMessage) (*Call, bool) {
	t.Helper()
	c := &Call{}
	for key, value := range keys {
		ok := true
		switch key {
		case "command":
			ok = decodes(value, &c.Command)
		case "args":
			var prefix struct {
				Prefix []string `json:"prefix"`
			}
			if ok = decodes(value, &c.Args); !ok {
				ok = decodes(value, &prefix)
				c.Args, c.Prefix = prefix.Prefix, true
			}
		case "stdin":
			// An empty Stdin matches anything.
			ok = decodes(value, &c.Stdin) && c.Stdin != "" || only(value, "contains", &c.StdinContains)
		default:
			t.Fatalf("the key %s of a call is new", key)
		}
		if !ok {
			return nil, false
		}
	}
	return c, true
}
