// Package usage checks what all programs check on a command line.
package usage

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"
)

// EmptyFlag refuses a flag with an empty value: a limit or a path whose value got lost must not be left out unnoticed.
func EmptyFlag(flags *pflag.FlagSet) error {
	found := ""
	flags.Visit(func(f *pflag.Flag) {
		list, several := f.Value.(pflag.SliceValue)
		if several && slices.Contains(list.GetSlice(), "") || f.Value.Type() == "string" && f.Value.String() == "" {
			found = f.Name
		}
	})
	if found == "" {
		return nil
	}
	return fmt.Errorf("--%s has an empty value, for example from a variable that isn't set; give it a value, or leave the flag out", found)
}
