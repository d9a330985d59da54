package fake_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/engine/enginetest"
	"github.com/mayfly-run/mayfly/internal/engine/fake"
	"github.com/mayfly-run/mayfly/internal/network"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// programs implements the suite's programs in Go. Args[1] is the argument.
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
		data, err := p.ReadFile(p.Args[1])
		if err == nil {
			_, err = p.Stdout.Write(data)
		}
		return status(err)
	},
	enginetest.RunFile.Name: func(p *fake.Process) int {
		if p.Executable(p.Args[1]) {
			return 0
		}
		return 1
	},
	enginetest.WriteFile.Name: func(p *fake.Process) int {
		data, _ := p.ReadFile(p.Args[1]) // a missing file is as good as an empty file
		return status(p.WriteFile(p.Args[1], append(slices.Clone(data), 'x')))
	},
	enginetest.WriteAndFail.Name: func(p *fake.Process) int {
		data, _ := p.ReadFile(p.Args[1])
		if err := p.WriteFile(p.Args[1], append(slices.Clone(data), 'x')); err != nil {
			return status(err)
		}
		return 3
	},
	enginetest.Fill.Name: func(p *fake.Process) int {
		name, size, _ := strings.Cut(p.Args[1], " ")
		return status(p.WriteFile(name, make([]byte, number(size))))
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
	enginetest.Who.Name: func(p *fake.Process) int {
		fmt.Fprintf(p.Stdout, "%d\n%d\n", p.UID, p.GID)
		return 0
	},
	enginetest.Privileges.Name: func(p *fake.Process) int {
		var set uint64
		for _, name := range p.Spec.Security.Capabilities {
			set |= map[string]uint64{"CAP_NET_BIND_SERVICE": 1 << 10}[name]
		}
		fmt.Fprintf(p.Stdout, "%016x\n", set)
		return 0
	},
	enginetest.Compute.Name: func(p *fake.Process) int {
		p.Compute(time.Duration(number(p.Args[1])) * time.Second)
		return 0
	},
	enginetest.Allocate.Name: func(p *fake.Process) int {
		p.Allocate(int64(number(p.Args[1])))
		return status(context.Cause(p.Context))
	},
	enginetest.Fork.Name: func(p *fake.Process) int {
		for range number(p.Args[1]) {
			if err := p.Fork(); err != nil {
				return 2
			}
		}
		fmt.Fprintln(p.Stdout, "started")
		return 0
	},
	enginetest.OpenFiles.Name: func(p *fake.Process) int {
		soft, hard := p.OpenFiles()
		fmt.Fprintf(p.Stdout, "%d\n%d\n", soft, hard)
		return 0
	},
	enginetest.Reach.Name: func(p *fake.Process) int {
		host, port, _ := strings.Cut(p.Args[1], " ")
		c, err := p.Dial(host, uint16(number(port)))
		if err != nil {
			return 1
		}
		defer c.Close()
		data, err := p.Receive(c)
		if err == nil {
			_, err = p.Stdout.Write(data)
		}
		return status(err)
	},
	enginetest.Terminal.Name: func(p *fake.Process) int {
		in := bufio.NewScanner(p.Stdin)
		for {
			columns, rows, _ := p.Terminal()
			fmt.Fprintln(p.Stdout, rows, columns)
			if !in.Scan() || in.Text() == "" {
				break
			}
		}
		fmt.Fprintln(p.Stderr, "to stderr")
		return 0
	},
	enginetest.Trusted.Name: func(p *fake.Process) int {
		data, err := p.ReadFile(p.Getenv("SSL_CERT_FILE"))
		if err == nil {
			_, err = p.Stdout.Write(data)
		}
		return status(err)
	},
	enginetest.Mocked.Name: func(p *fake.Process) int {
		if err := errors.Join(show(p, "localhost", 8080), show(p, "api.example", 80)); err != nil {
			return status(err)
		}
		out, _, code, err := p.Call(p.Args[1], "greet", p.Args[1])
		if err != nil {
			return status(err)
		}
		fmt.Fprint(p.Stdout, out)
		return code
	},
}

// status returns a program's exit status.
func status(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

// show prints what a server sends.
func show(p *fake.Process, host string, port uint16) error {
	c, err := p.Dial(host, port)
	if err != nil {
		return err
	}
	defer c.Close()
	data, err := p.Receive(c)
	fmt.Fprint(p.Stdout, string(data))
	return err
}

func harness(e engine.Engine) *enginetest.Harness {
	return &enginetest.Harness{
		Engine: e, Image: engine.Image{Reference: "fake", Digest: "fake@sha256:0"},
		Unpacked: engine.Unpacked{Layers: []string{"/nowhere"}},
		Args:     func(p enginetest.Program, argument string) []string { return []string{p.Name, argument} },
	}
}

func TestConformance(t *testing.T) {
	enginetest.Run(t, func(*testing.T) *enginetest.Harness { return harness(&fake.Engine{Programs: programs}) })
}

// bare is an engine that has only what every engine has to have.
type bare struct{ *fake.Engine }

func (bare) Capabilities() engine.Capabilities {
	return engine.Capabilities{Networks: []network.Mode{network.ModeNone}}
}

func (b bare) Start(ctx context.Context, spec *engine.Spec, local engine.Local, streams engine.Streams) (engine.Sandbox, error) {
	if err := errors.Join(spec.Validate(), local.Validate(spec)); err != nil {
		return nil, err
	}
	can := b.Capabilities()
	if err := can.Check(spec); err != nil {
		return nil, err
	}
	return b.Engine.Start(ctx, spec, local, streams)
}

// TestConformanceOfABareEngine: an engine passes that refuses what its capabilities leave out.
func TestConformanceOfABareEngine(t *testing.T) {
	enginetest.Run(t, func(*testing.T) *enginetest.Harness { return harness(bare{&fake.Engine{Programs: programs}}) })
}
