package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/pflag"
)

// jsonFlag adds --json and what kubectl and others call it, -o json.
func jsonFlag(fl *pflag.FlagSet, on *bool, usage string) {
	fl.BoolVar(on, "json", false, usage)
	fl.VarP(outputFormat{fl}, "output", "o", "`json`, the same as --json")
}

type outputFormat struct{ flags *pflag.FlagSet }

func (outputFormat) String() string { return "" }

// Type isn't string: String is always empty, which emptyFlag would refuse.
func (outputFormat) Type() string { return "format" }

func (o outputFormat) Set(format string) error {
	if format != "json" {
		return fmt.Errorf("the only format is json; leave -o out for text")
	}
	return o.flags.Set("json", "true")
}

// printList prints a listing as JSON, one array, which is [] for nothing.
func printList[T any](w io.Writer, list []T) error {
	if list == nil {
		list = []T{}
	}
	line, err := json.Marshal(list)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", escapeJSON(line))
	return err
}
