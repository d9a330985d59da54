package definition

import (
	"fmt"
	"strings"
	"testing"
)

// TestManyItems checks that a list has no more items than a journal takes: otherwise its run could not be resumed.
func TestManyItems(t *testing.T) {
	for count, fits := range map[int]bool{maxItems: true, maxItems + 1: false} {
		text := "workflow: [{name: a, tool: {image: i}, for_each: [" + strings.Repeat("1,", count) + "]}]\n"
		_, err := Parse("w.yaml", []byte(text))
		if want := fmt.Sprintf("for_each has more than %d items", maxItems); (err == nil) != fits || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d items: %v", count, err)
		}
	}
}
