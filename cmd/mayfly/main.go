// Command mayfly runs operations tools, each in an isolated container of its own.
package main

import (
	"context"
	"os"

	"github.com/mayfly-run/mayfly/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
