package shape

import (
	"slices"
	"strconv"
	"strings"
)

// DidYouMean returns a hint for a word that is not among the known words: the nearest of them, or, if none is near, otherwise
// followed by all of them.
func DidYouMean(word string, known []string, otherwise string) string {
	if near := Nearest(word, known); near != "" {
		return "did you mean " + strconv.Quote(near) + "?"
	}
	return otherwise + Listing(known)
}

// Listing writes words as "a, b or c".
func Listing(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// Nearest returns the candidate that a word was probably meant to be, or "". The candidate is at most a third of the length
// away in edits.
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", 0
	if len(word) > 64 {
		return "" // no candidate is that long, and distances cost the product of the lengths
	}
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		limit := max(1, max(len(word), len(c))/3)
		if len(c) > 64 || min(len(word), len(c)) <= limit && !strings.EqualFold(word, c) {
			continue // too little in common to be a typing error
		}
		distance := editDistance(strings.ToLower(word), strings.ToLower(c))
		if distance <= limit && (best == "" || distance < bestDistance) {
			best, bestDistance = c, distance
		}
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b (the optimal
// string alignment distance, in bytes).
func editDistance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		twoAgo, ago, now := rows[0], rows[1], rows[2]
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(ago[j]+1, now[j-1]+1, ago[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], twoAgo[j-2]+1)
			}
		}
		rows = [3][]int{ago, now, twoAgo}
	}
	return rows[1][len(b)]
}
