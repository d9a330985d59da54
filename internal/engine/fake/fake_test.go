package fake_test

import (
	"fmt"
	"io"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// programs are the suite's, in Go. Args[1] is the argument.
var programs = map[string]fake.Program{
	enginetest.Exit.Name: func(p *fake.Process) int {
		code, err := strconv.Atoi(p.Args[1])
		if err != nil {
			return 2
		}
		return code
	},
	enginetest.Print.Name: func(p *fake.Process) int {
		fmt.Fprint(p.Stdout, p.Args[1])
		fmt.Fprint(p.Stderr, p.Args[1])
		return 0
	},
	enginetest.Copy.Name: func(p *fake.Process) int {
		if _, err := io.Copy(p.Stdout, p.Stdin); err != nil {
			return 1
		}
		return 0
	},
	enginetest.Sleep.Name: func(p *fake.Process) int {
		<-p.Context.Done()
		return 0
	},
	enginetest.Stubborn.Name: func(p *fake.Process) int {
		p.IgnoreTERM()
		fmt.Fprintln(p.Stdout, "ready")
		<-p.Context.Done()
		return 0
	},
	enginetest.ShowVariable.Name: func(p *fake.Process) int {
		fmt.Fprint(p.Stdout, p.Getenv(p.Args[1]))
		return 0
	},
	enginetest.ShowFile.Name: func(p *fake.Process) int {
		if _, err := p.Stdout.Write(p.Files[p.Args[1]]); err != nil {
			return 1
		}
		return 0
	},
	enginetest.WriteOutput.Name: func(p *fake.Process) int {
		p.Output = append(p.Output, p.Args[1]...)
		return 0
	},
	enginetest.Flood.Name: func(p *fake.Process) int {
		n, err := strconv.Atoi(p.Args[1])
		if err != nil {
			return 2
		}
		if _, err := p.Stdout.Write(make([]byte, n)); err != nil {
			return 1
		}
		return 0
	},
	enginetest.LeaveBehind.Name: func(p *fake.Process) int {
		fmt.Fprintln(p.Stdout, "started")
		return 0
	},
	enginetest.WorkingDir.Name: func(p *fake.Process) int {
		fmt.Fprintln(p.Stdout, p.Dir)
		return 0
	},
	enginetest.Mocked.Name: func(*fake.Process) int { return 1 }, // never started
}

func TestConformance(t *testing.T) {
	enginetest.Run(t, func(*testing.T) *enginetest.Harness {
		return &enginetest.Harness{
			Engine: &fake.Engine{Programs: programs},
			Args:   func(p enginetest.Program, argument string) []string { return []string{p.Name, argument} },
		}
	})
}
