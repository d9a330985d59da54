package shape_test

import (
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/shape/shapetest"
)

// TestAdviseFindsNothing: there is no advice for a valid file, whatever line the parser names.
func TestAdviseFindsNothing(t *testing.T) {
	texts := map[string]string{}
	for _, file := range []string{"../tool/testdata/accepted.txt", "../tool/testdata/everything.txt", "../suite/testdata/everything.txt"} {
		for name, text := range shapetest.Cases(t, file) {
			texts[file+" "+name] = text
		}
	}
	for name, text := range texts {
		lines := strings.Split(text, "\n")
		for named := range lines {
			if line, hint := shape.Advise(lines, named); hint != "" {
				t.Errorf("%s, from line %d on: line %d: %s", name, named, line, hint)
				break
			}
		}
	}
}
