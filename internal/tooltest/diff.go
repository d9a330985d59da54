package tooltest

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxDiffLines is how many lines of each text are compared. Time and memory grow with the product of the two numbers.
	maxDiffLines = 1000
	diffContext  = 3
)

// quote returns a text in quotes for a message, or its size if it is long: never a part of it, since masking doesn't find a
// part of a secret.
func quote(s string) string {
	const most = 1000
	if len(s) > most {
		return fmt.Sprintf("of %d bytes", len(s))
	}
	return strconv.Quote(s)
}

// diffOf returns a unified diff of two texts, or "" if both have at most one line.
func diffOf(want, got string) string {
	a, b := lines(want), lines(got)
	if len(a) < 2 && len(b) < 2 {
		return ""
	}
	return unified(a, b)
}

func lines(s string) []string {
	s = strings.TrimSuffix(s, "\n")
	if s == "" {
		return nil
	}
	all := strings.Split(s, "\n")
	if len(all) > maxDiffLines {
		all = append(all[:maxDiffLines:maxDiffLines], fmt.Sprintf("… and %d more lines", len(all)-maxDiffLines))
	}
	return all
}

// edit is a line of a diff: common to both texts (' '), expected and missing ('-'), or present and not expected ('+').
type edit struct {
	op   byte
	text string
}

// unified returns the unified diff from a to b.
func unified(a, b []string) string {
	edits := compare(a, b)
	var out strings.Builder
	out.WriteString("--- expected\n+++ got\n")
	for start := 0; start < len(edits); {
		// A hunk begins before a change, and ends when no other change follows within twice the context.
		first := start
		for first < len(edits) && edits[first].op == ' ' {
			first++
		}
		if first == len(edits) {
			break
		}
		last := first
		for i := first; i < len(edits) && i <= last+2*diffContext; i++ {
			if edits[i].op != ' ' {
				last = i
			}
		}
		from, to := max(first-diffContext, start), min(last+diffContext+1, len(edits))
		writeHunk(&out, edits, from, to)
		start = to
	}
	return out.String()
}

func writeHunk(out *strings.Builder, edits []edit, from, to int) {
	lineA, lineB, nA, nB := 1, 1, 0, 0
	for i, e := range edits[:to] {
		inA, inB := e.op != '+', e.op != '-'
		switch {
		case i < from && inA && inB:
			lineA++
			lineB++
		case i < from && inA:
			lineA++
		case i < from:
			lineB++
		default:
			if inA {
				nA++
			}
			if inB {
				nB++
			}
		}
	}
	if nA == 0 {
		lineA-- // as diff(1) counts the lines before an insertion
	}
	if nB == 0 {
		lineB--
	}
	fmt.Fprintf(out, "@@ -%d,%d +%d,%d @@\n", lineA, nA, lineB, nB)
	for _, e := range edits[from:to] {
		out.WriteByte(e.op)
		out.WriteString(e.text)
		out.WriteByte('\n')
	}
}

// compare returns the edits from a to b, with a longest common subsequence of lines kept.
func compare(a, b []string) []edit {
	length := make([][]int32, len(a)+1)
	for i := range length {
		length[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	var out []edit
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, edit{' ', a[i]})
			i++
			j++
		case i < len(a) && (j == len(b) || length[i+1][j] >= length[i][j+1]):
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	return out
}
