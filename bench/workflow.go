//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// workflowSteps is the number of steps of the workflows that are measured.
const workflowSteps = 40

// workflow times 40 steps of true, each in its own container: one after the other, all at once, and as docker run in a shell
// loop. The budget is relative to single runs that are measured in the same minutes.
func (b *bench) workflow() error {
	single, err := b.tool("true", trueTool)
	if err != nil {
		return err
	}
	var steps strings.Builder
	for i := range workflowSteps {
		fmt.Fprintf(&steps, "- {name: s%d, tool: true.yaml}\n", i)
	}
	chain, err := b.tool("chain", "workflow:\n"+steps.String())
	if err != nil {
		return err
	}
	parallel, err := b.tool("parallel", "parallel_tools:\n"+steps.String())
	if err != nil {
		return err
	}
	subjects := []subject{
		{"single", func() *exec.Cmd { return b.mayfly("run", "-q", single) }},
		{"chain", func() *exec.Cmd { return b.mayfly("run", "-q", chain) }},
		{"single again", func() *exec.Cmd { return b.mayfly("run", "-q", single) }},
		{"parallel", func() *exec.Cmd { return b.mayfly("run", "-q", parallel) }},
	}
	medians, err := b.times(max(5, b.runs/3), subjects)
	if err != nil {
		return err
	}
	one := (medians["single"] + medians["single again"]) / 2
	budget := workflowSteps*one + 500*time.Millisecond
	b.add("a workflow of 40 steps, one after the other", seconds(medians["chain"]),
		fmt.Sprintf("40 single runs of %s + 0.5 s are %s", ms(one), seconds(budget)), "<= that", medians["chain"] <= budget)
	b.add("the same 40 at once", seconds(medians["parallel"]), fmt.Sprintf("%.2f of that", float64(medians["parallel"])/float64(budget)),
		"<= half of that", medians["parallel"] <= budget/2)
	if err := b.cores(); err != nil {
		return err
	}
	if !b.docker {
		return nil
	}
	docker := b.dockerCommand("run", "--rm", "mayfly/busybox", "true")
	loop := exec.Command("sh", append([]string{"-c", fmt.Sprintf(`i=0; while [ $i -lt %d ]; do "$@" || exit; i=$((i+1)); done`, workflowSteps), "sh"}, docker.Args...)...)
	loop.Env = docker.Env
	begin := time.Now()
	if err := b.quiet(loop); err != nil {
		return err
	}
	took := time.Since(begin)
	b.add("40 times `docker run --rm` in a shell loop", seconds(took), fmt.Sprintf("mayfly takes 1/%.1f", float64(took)/float64(medians["chain"])), "", true)
	return nil
}

// cores measures how much this machine's cores help to start containers: as many runs of runc with a prepared bundle, one
// after the other and 16 at a time. Under some hypervisors a second core adds little, whatever starts the containers.
func (b *bench) cores() error {
	if b.bundle == "" {
		return nil
	}
	var count atomic.Int64
	run := func() error { return b.quiet(b.runcCommand(fmt.Sprintf("core%d", count.Add(1)))) }
	begin := time.Now()
	for range workflowSteps {
		if err := run(); err != nil {
			return err
		}
	}
	sequence := time.Since(begin)
	perSecond, err := rate(workflowSteps, run)
	if err != nil {
		return err
	}
	atOnce := time.Duration(workflowSteps / perSecond * float64(time.Second))
	b.add("40 times `runc run`, one after the other", seconds(sequence), "", "", true)
	b.add("the same, 16 at a time", seconds(atOnce), fmt.Sprintf("%.2f of that: what the cores give", float64(atOnce)/float64(sequence)), "", true)
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
