//go:build linux

// Command bench measures Mayfly's budgets beside docker, podman and runc. It measures all of them in one run, since figures of
// different runs can't be compared. bench/run.sh prepares the machine for it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bench is one session of measurements.
type bench struct {
	bin, images, work string
	runs              int

	docker bool   // whether a docker daemon was started
	podman string // the command line of podman; empty if podman is missing or doesn't work
	bundle string // the folder of a runc bundle; empty if runc is missing
	rows   []row
}

// row is one line of the report.
type row struct {
	what, figure, ratio, budget string
	met                         bool
}

func main() {
	b := &bench{}
	flag.StringVar(&b.bin, "bin", "bin", "folder of mayfly and mayfly-shim")
	flag.StringVar(&b.images, "images", ".build/images", "folder of the base images")
	flag.StringVar(&b.work, "work", "", "empty folder to work in")
	flag.IntVar(&b.runs, "n", 30, "runs of each short command")
	only := flag.String("only", "", "comma-separated: start,workflow,throughput,memory,logs,network,pull")
	flag.Parse()
	if err := b.run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(only string) error {
	if err := b.prepare(); err != nil {
		return err
	}
	defer b.stopDocker()
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{"start", b.start},
		{"workflow", b.workflow},
		{"throughput", b.throughput},
		{"memory", b.memory},
		{"logs", b.logs},
		{"network", b.network},
		{"pull", b.pull},
	} {
		if only != "" && !slices.Contains(strings.Split(only, ","), part.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", part.name)
		if err := part.measure(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	b.print()
	return nil
}

// prepare starts the docker daemon, and loads the images into mayfly, docker, podman and runc.
func (b *bench) prepare() error {
	if err := os.Setenv("MAYFLY_HOME", filepath.Join(b.work, "home")); err != nil {
		return err
	}
	for _, image := range []string{"busybox", "python"} {
		if err := b.quiet(b.mayfly("image", "load", b.archive(image))); err != nil {
			return err
		}
	}
	if err := b.startDocker(); err != nil {
		return err
	}
	if err := b.preparePodman(); err != nil {
		return err
	}
	return b.prepareRunc()
}

func (b *bench) archive(image string) string { return filepath.Join(b.images, image+".tar") }

func (b *bench) mayfly(args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(b.bin, "mayfly"), args...)
}

// tool writes a definition and returns its path.
func (b *bench) tool(name, text string) (string, error) {
	path := filepath.Join(b.work, name+".yaml")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// quiet runs a command. If it fails, the error has what it printed.
func (b *bench) quiet(c *exec.Cmd) error {
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, out)
	}
	return nil
}

// subject is a command to time.
type subject struct {
	name    string
	command func() *exec.Cmd
}

// times runs the subjects in turn, A B C A B C, so that a change of the machine's speed affects all of them. It returns the
// median of each.
func (b *bench) times(n int, subjects []subject) (map[string]time.Duration, error) {
	all := map[string][]time.Duration{}
	for i := range n + 2 {
		for _, s := range subjects {
			c := s.command()
			begin := time.Now()
			if err := b.quiet(c); err != nil {
				return nil, err
			}
			if i >= 2 { // the first two are warm-ups
				all[s.name] = append(all[s.name], time.Since(begin))
			}
		}
	}
	medians := map[string]time.Duration{}
	for name, list := range all {
		slices.Sort(list)
		medians[name] = list[len(list)/2]
	}
	return medians, nil
}

func (b *bench) add(what, figure, ratio, budget string, met bool) {
	b.rows = append(b.rows, row{what, figure, ratio, budget, met})
}

func (b *bench) print() {
	fmt.Println("| what | measured | ratio | budget | |")
	fmt.Println("|---|---|---|---|---|")
	for _, r := range b.rows {
		mark := "met"
		if r.budget == "" {
			mark = ""
		} else if !r.met {
			mark = "**not met**"
		}
		fmt.Printf("| %s | %s | %s | %s | %s |\n", r.what, r.figure, r.ratio, r.budget, mark)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
