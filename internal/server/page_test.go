package server

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/net/html"
)

// TestPage reads the page of the API as a browser does: it has each operation and type, loads nothing, and all of its links lead somewhere.
func TestPage(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/api/v1/docs", "/api/v1/"} {
		t.Run(path, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Fatalf("status %d, %v, %v", resp.StatusCode, resp.Header, err)
			}
			if ok := regexp.MustCompile(`^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$`).
				MatchString(resp.Header.Get("Content-Security-Policy")); !ok {
				t.Errorf("the policy is %q", resp.Header.Get("Content-Security-Policy"))
			}
			r.checkPage(t, string(text), resp.Header.Get("Content-Security-Policy"))
		})
	}
}

func (r *rig) checkPage(t *testing.T, text, policy string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	ids, links, sections := map[string]bool{}, []string{}, map[string]string{}
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			switch n.Data {
			case "script", "link", "img", "iframe", "form", "object", "embed", "base":
				t.Errorf("the page has <%s>", n.Data)
			case "style":
				if sum := sourceOf(n.FirstChild.Data); !strings.Contains(policy, sum) {
					t.Errorf("the policy %s refuses the style, which is %s", policy, sum)
				}
			}
			for _, a := range n.Attr {
				switch {
				case a.Key == "id":
					if ids[a.Val] {
						t.Errorf("there are two #%s", a.Val)
					}
					ids[a.Val] = true
					sections[a.Val] = textOf(n)
				case a.Key == "href":
					links = append(links, a.Val)
				case a.Key == "src" || a.Key == "style" || strings.HasPrefix(a.Key, "on"):
					t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
				}
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(root)
	for _, link := range links {
		if at, ok := strings.CutPrefix(link, "#"); ok && !ids[at] || !ok && link != openAPI+".json" {
			t.Errorf("a link leads to %q", link)
		}
	}
	r.each("own", func(op *huma.Operation, role, _ string) {
		has := []string{op.Method, op.Path, role, op.Summary, "a problem"}
		for _, p := range op.Parameters {
			has = append(has, p.Name, p.In)
		}
		if op.RequestBody != nil {
			has = append(has, "body")
		}
		for status := range op.Responses {
			if status != "default" {
				has = append(has, status)
			}
		}
		for _, part := range has {
			if !strings.Contains(sections[op.OperationID], part) {
				t.Errorf("%s has no %q", op.OperationID, part)
			}
		}
	})
	for name, schema := range r.api.OpenAPI().Components.Schemas.Map() {
		for field, of := range schema.Properties {
			if at := sections[name]; !strings.Contains(at, field) || !strings.Contains(at, of.Description) {
				t.Errorf("%s has no %s: %s", name, field, of.Description)
			}
		}
	}
}

// sourceOf is what a policy calls a style (CSP, section 2.3.1).
func sourceOf(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// textOf is the text of an element.
func textOf(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var out strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		out.WriteString(textOf(c))
	}
	return out.String()
}
