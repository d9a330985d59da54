package tooltest

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxDiffLines is how many lines of each text are compared: the time and memory grow with their product.
	maxDiffLines = 1000
	diffContext  = 3
)

// quote is a text for a message, whole or not at all, since a part of a secret isn't masked.
func quote(s string) string {
	const most = 1000
	if len(s) > most {
		return fmt.Sprintf("of %d bytes", len(s))
	}
	return strconv.Quote(s)
}

// diffOf is a unified diff of two texts, or nothing where both are a line at most.
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

// edit is a line of a diff: kept (' '), expected and missing ('-'), or there and not expected ('+').
type edit struct {
	op   byte
	text string
}

// unified writes the diff from a to b.
func unified(a, b []string) string {
	edits := compare(a, b)
	var out strings.Builder
	out.WriteString("--- expected\n+++ got\n")
	for start := 0; start < len(edits); {
		// A hunk begins before a change and ends when no other follows within twice the context.
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

// compare finds the longest common subsequence of lines.
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
