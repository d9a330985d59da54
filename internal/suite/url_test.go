package suite

import (
	"fmt"
	"testing"
)

func TestSlashedPath(t *testing.T) {
	for escaped, want := range map[string]string{
		"/a%2Fb/c":    "/a%2Fb/c",
		"/a%2fb":      "/a%2Fb",
		"/a%20b%25":   "/a b%25",
		"/a%252Fb":    "/a%252Fb",
		"/a%25252f":   "/a%25252f",
		"/%E6%97%A5":  "/日",
		"/5%":         "/5%",
		"/5%zz%2F":    "/5%zz%2F",
		"/":           "/",
		"/plain/path": "/plain/path",
	} {
		if got := SlashedPath(escaped); got != want {
			t.Errorf("SlashedPath(%q) = %q, want %q", escaped, got, want)
		}
	}
}

func TestParseQuery(t *testing.T) {
	for query, want := range map[string]string{
		"a=1&b=2&a=3":    "map[a:[1 3] b:[2]]",
		"q=a;b&c":        "map[c:[] q:[a;b]]",
		"a+b=c+d%26":     "map[a b:[c d&]]",
		"a=50%&&b=%zz+x": "map[a:[50%] b:[%zz x]]",
		"p[]=1&p[]=2":    "map[p[]:[1 2]]",
		"a%20b%zz=%41%":  "map[a b%zz:[A%]]",
		"a%2Bb=%2f+%2B":  "map[a+b:[/ +]]",
		"":               "map[]",
	} {
		if got := fmt.Sprint(ParseQuery(query)); got != want {
			t.Errorf("ParseQuery(%q) = %s, want %s", query, got, want)
		}
	}
}
