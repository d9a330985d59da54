package tooltest

import (
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

// TestMessagesAreMasked checks that messages about what has no mock, or isn't as expected, never contain one of this
// machine's secrets, nor a part of one if a text is too long to be shown.
func TestMessagesAreMasked(t *testing.T) {
	const secret = "machine-secret-1"
	aaa := func(n int) string { return strings.Repeat("a", n) }
	get := func(target, body string, header ...string) func(p *process, before int) {
		return func(p *process, before int) {
			fill := strings.NewReplacer("AAA", aaa(before)).Replace
			_, _ = p.get("POST", "h.example.com", 80, fill(target), fill(body), header...)
		}
	}
	for name, tt := range map[string]struct {
		most []int // the limits, now or in earlier versions, on the length of a text that is shown
		says string
		do   func(p *process, before int)
	}{
		"path":   {[]int{500}, "has no mock; the nearest", get("/b/AAA"+secret, "")},
		"query":  {[]int{500}, "differs in path", get("/b?k=AAA"+secret, "")},
		"value":  {[]int{1000}, "query q", get("/q?q=AAA"+secret, "")},
		"header": {[]int{0}, "X-A: x; it came as", get("/a", "", "X-A", secret)},
		"body":   {[]int{1000}, "body: it is not", get("/t", "k=AAA"+secret)},
		"JSON":   {[]int{60, 200}, "json: .k is", get("/j", `{"k": "AAA`+secret+`"}`)},
		"host": {[]int{0}, "has no mock", func(p *process, _ int) {
			_, _ = p.get("GET", secret+".example.com", 80, "/", "")
		}},
		"upgrade": {[]int{32}, "asks for another protocol", get("/a", "", "Connection", "upgrade", "Upgrade", aaa(25)+secret)},
		"call": {[]int{200}, "git push", func(p *process, before int) {
			p.call("git", "push", "origin", aaa(before)+secret, "main")
		}},
		"another protocol": {[]int{24, 64}, "which isn't HTTP", func(p *process, before int) {
			c, err := net.Dial("unix", p.Local.Connections)
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = fmt.Fprintf(c, `{"names":["db.example.com"],"address":"198.19.0.1","port":5432}`+"\n*2\r\n%s%s\r\n", aaa(before), secret)
			_, _ = c.Read(make([]byte, 1))
		}},
		"output": {[]int{100, 1000}, "output OUT, ", func(p *process, before int) {
			p.Output = []byte("OUT=" + aaa(before) + secret + "\n")
		}},
	} {
		for _, before := range steps(tt.most) {
			t.Run(fmt.Sprint(name, "/", before), func(t *testing.T) {
				r := one(t, `  http:
  - {path: /a, method: POST, request: {headers: {X-A: x}}}
  - {path: /t, method: POST, request: {body: x}}
  - {path: /j, method: POST, request: {json: {k: v}}}
  - {path: /q, method: POST, query: {q: x}}
  commands: [{command: git, args: [status]}]
  expect: {exit_code: any, outputs: {OUT: x}}
`, func(p *process) int {
					tt.do(p, before)
					return 0
				})
				got := messages(r)
				if r.Status != report.Failed || !strings.Contains(got, tt.says) {
					t.Fatalf("%s %s: %s", r.Status, r.Error, got)
				}
				if strings.Contains(got, "machine") {
					t.Error(got)
				}
			})
		}
	}
}

// TestNamesThatAreMasked checks that headers whose names are secrets lose no value.
func TestNamesThatAreMasked(t *testing.T) {
	mask := secret.NewRedactor([]byte("hunter2"), []byte("hunter3"))
	got := maskLists(mask, map[string][]string{"hunter2": {"a"}, "hunter3": {"b", "hunter2"}})
	if want := map[string][]string{"***": {"a", "b", "***"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// steps returns lengths of a text before the secret, such that the beginning or the end of the secret is just below or just
// above one of the limits in most.
func steps(most []int) (out []int) {
	for _, n := range most {
		for before := max(n-70, 0); before <= n; before += 6 {
			out = append(out, before)
		}
	}
	return out
}
