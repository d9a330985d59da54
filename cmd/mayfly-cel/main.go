// Command mayfly-cel evaluates the conditions of workflows for mayfly, which starts it; it is of no use by hand.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/mayfly-run/mayfly/internal/condition/cel"
	"github.com/mayfly-run/mayfly/internal/program"
)

func main() {
	// Ctrl-C is for mayfly, which ends this program by ending its input.
	signal.Ignore(os.Interrupt)
	answered, err := program.AnswerVersion(os.Stdout, program.CEL, os.Args[1:])
	if !answered {
		err = cel.Serve(context.Background(), os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mayfly-cel:", err)
		os.Exit(1)
	}
}
