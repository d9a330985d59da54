// Command mayflyd runs Mayfly's services. mayfly starts it.
package main

import (
	"context"
	"os"

	"github.com/mayfly-run/mayfly/internal/daemon"
)

func main() {
	os.Exit(daemon.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
