package usage

import (
	"testing"

	"github.com/spf13/pflag"
)

func TestEmptyFlag(t *testing.T) {
	for _, c := range []struct {
		args []string
		ok   bool
	}{
		{nil, true},
		{[]string{"--text", "x", "--list", "a,b", "--items", "a"}, true},
		{[]string{"--text="}, false},
		{[]string{"--text", ""}, false},
		{[]string{"--list", "a,"}, false},
		{[]string{"--items", ""}, false},
	} {
		fl := pflag.NewFlagSet("", pflag.ContinueOnError)
		fl.String("text", "", "")
		fl.StringSlice("list", nil, "")
		fl.StringArray("items", nil, "")
		if err := fl.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		if err := EmptyFlag(fl); (err == nil) != c.ok {
			t.Errorf("%q: %v", c.args, err)
		}
	}
}
