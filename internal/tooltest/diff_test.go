package tooltest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mayfly-run/mayfly/internal/tooltest/report"
)

func TestDiff(t *testing.T) {
	if d := diffOf("a", "b"); d != "" {
		t.Errorf("one line: %q", d)
	}
	var a, b []string
	for i := range 30 {
		a = append(a, fmt.Sprint(i))
		if i != 5 && i != 25 {
			b = append(b, fmt.Sprint(i))
		}
	}
	want := "--- expected\n+++ got\n@@ -3,7 +3,6 @@\n 2\n 3\n 4\n-5\n 6\n 7\n 8\n@@ -23,7 +22,6 @@\n 22\n 23\n 24\n-25\n 26\n 27\n 28\n"
	if d := unified(a, b); d != want {
		t.Errorf("got\n%swant\n%s", d, want)
	}
	long := strings.Repeat("x\n", 5*maxDiffLines)
	if d := diffOf(long, "y\n"+long); !strings.Contains(d, "+y") || len(d) > 1000 {
		t.Errorf("of long texts: %.200s", d)
	}
}

// TestDiffApplies checks that applying the diff to the first text gives the second, by its lines and its line numbers.
func TestDiffApplies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.SampledFrom([]string{"a", "b", "c", "d e"})
		a, b := rapid.SliceOfN(line, 0, 40).Draw(t, "a"), rapid.SliceOfN(line, 0, 40).Draw(t, "b")
		diff := unified(a, b)
		var got []string
		at := 0 // lines of a that have been used
		for _, text := range strings.Split(strings.TrimSuffix(diff, "\n"), "\n")[2:] {
			var fromA, nA, fromB, nB int
			if _, err := fmt.Sscanf(text, "@@ -%d,%d +%d,%d @@", &fromA, &nA, &fromB, &nB); err == nil {
				if nA > 0 {
					fromA--
				}
				got = append(got, a[at:fromA]...)
				at = fromA
				if nB > 0 {
					fromB--
				}
				if len(got) != fromB {
					t.Fatalf("%q is at line %d of the second\n%s", text, len(got), diff)
				}
				continue
			}
			if text[0] != '+' {
				if a[at] != text[1:] {
					t.Fatalf("%q is not line %d\n%s", text, at, diff)
				}
				at++
			}
			if text[0] != '-' {
				got = append(got, text[1:])
			}
		}
		got = append(got, a[at:]...)
		if !slices.Equal(got, b) {
			t.Fatalf("got %q, want %q\n%s", got, b, diff)
		}
	})
}

func TestJUnit(t *testing.T) {
	var out bytes.Buffer
	results := []*report.Result{
		{Name: "a", File: "x_test.yaml", Line: 3, Status: report.Passed, DurationMS: 1234, Stdout: "\x1b[31mred\x00"},
		{Name: "b <&>", File: "x_test.yaml", Status: report.Failed, Failures: []report.Failure{{Message: "first"}, {Message: "second", Diff: "-a\n+b\n"}}, Notes: []string{"n"}},
		{Name: "c", File: "y_test.yaml", Status: report.Errored, Error: "cancelled", Failures: []report.Failure{{Message: "no mock"}}},
	}
	if err := WriteJUnit(&out, results, report.Summary{Tests: 3, Passed: 1, Failed: 1, Errors: 1, DurationMS: 2000}); err != nil {
		t.Fatal(err)
	}
	var back junitReport
	if err := xml.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if len(back.Suites) != 2 || back.Suites[0].Failures != 1 || back.Suites[1].Errors != 1 || back.Failures != 1 {
		t.Errorf("read back as %+v", back)
	}
	c := back.Suites[0].Cases
	if c[0].Time != "1.234" || c[0].Stdout != "\ufffd[31mred\ufffd" || c[1].Name != "b <&>" || c[1].Failure.Message != "first" || c[1].Failure.Text != "first\nsecond\n-a\n+b\nnote: n\n" {
		t.Errorf("cases %+v", c)
	}
	if e := back.Suites[1].Cases[0].Error; e.Message != "cancelled" || e.Text != "cancelled\nno mock\n" {
		t.Errorf("the error of the interrupted test is %+v", e)
	}
}
