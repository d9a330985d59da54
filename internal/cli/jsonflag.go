package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/failure"
	"github.com/mayfly-run/mayfly/internal/shape"
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

// asJSON reports whether a command was asked for JSON.
func asJSON(c *cobra.Command) bool {
	if c == nil {
		return false
	}
	flag := c.Flags().Lookup("json")
	return flag != nil && flag.Value.String() == "true"
}

// jsonError is the error of a command that was asked for JSON: the last line, and most often the only one.
type jsonError struct {
	Type     string          `json:"type"` // error
	Code     run.Code        `json:"code"`
	Error    string          `json:"error"`
	Problems []shape.Problem `json:"problems,omitempty"`
	ExitCode int             `json:"exit_code"`
}

// printJSONError prints why a command failed, unless it has printed that itself.
func printJSONError(w io.Writer, err error) error {
	var exit *exitError
	if err == nil || errors.As(err, &exit) {
		return nil
	}
	f := failure.Of(err)
	return printJSONLine(w, jsonError{Type: "error", Code: f.Code, Error: err.Error(), Problems: shape.Problems(err), ExitCode: f.ExitCode})
}

// printList prints a listing as JSON, one array, which is [] for nothing.
func printList[T any](w io.Writer, list []T) error {
	if list == nil {
		list = []T{}
	}
	return printJSONLine(w, list)
}
