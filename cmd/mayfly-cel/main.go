// Command mayfly-cel evaluates the conditions of workflows for mayfly. Only mayfly starts it.
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
	// Ctrl-C is for mayfly, which ends this program by closing its input.
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
