//go:build unix

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// openAddress runs a program, and opens the first address that it prints in a browser. The program may enter a namespace of users, where no browser
// would be the user's own, so this process stays to open it.
func openAddress(ctx context.Context, s streams, path string, args []string) error {
	if !hasBrowser() {
		return becomeProgram(ctx, s, path, args)
	}
	return withBrowser(ctx, s, path, args)
}

// withBrowser is openAddress for a user who has a browser.
func withBrowser(ctx context.Context, s streams, path string, args []string) error {
	c := exec.CommandContext(ctx, path, args...)
	c.Stdin, c.Stderr = s.in, s.err
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := c.Start(); err != nil {
		return fmt.Errorf("execute %s: %w", path, err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case one := <-signals:
				if one != os.Interrupt { // which the terminal sends to both
					_ = c.Process.Signal(one) // it may have ended
				}
			case <-ended:
				return
			}
		}
	}()
	opened := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(s.out, lines.Text())
		if address := strings.TrimSpace(lines.Text()); !opened && strings.HasPrefix(address, "http://127.0.0.1:") {
			opened = true
			openBrowser(address)
		}
	}
	err = c.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status := exit.ExitCode()
		if how, ok := exit.Sys().(syscall.WaitStatus); ok && how.Signaled() { // by a second Ctrl-C
			status = engine.ExitSignal(engine.Signal(how.Signal()))
		}
		return &exitError{status}
	}
	return err
}

// hasBrowser reports whether an address can be shown to the user: not to root, whose browser would be another user's, and not without a screen.
func hasBrowser() bool {
	return os.Geteuid() != 0 && (runtime.GOOS == "darwin" || os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "")
}

// openBrowser opens an address. If that fails, the user has the address.
func openBrowser(address string) {
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	c := exec.Command(program, address)                //nolint:noctx // the browser outlives this process
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C isn't for it
	if c.Start() == nil {
		go func() { _ = c.Wait() }()
	}
}
