// Command mayfly runs operations tools, each in its own isolated container.
package main

import (
	"context"
	"os"

	"github.com/mayfly-run/mayfly/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
