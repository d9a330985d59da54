package local

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// conclude sets the run's result from the tool's exit. cause says why the tool was ended, or is nil.
func (r *execution) conclude(t *tool.Tool, exit *engine.Exit, cause error) {
	res := &r.result
	res.Usage = exit.Usage
	res.Kept = exit.Kept
	res.Trusting, res.MayRunItself = exit.Trusting, exit.MayRunItself
	res.ExitCode = exit.Code
	res.Hint = ""
	switch {
	case errors.Is(cause, errTimeout):
		res.Status, res.ExitCode, res.Code = run.TimedOut, run.ExitTimedOut, run.CodeTimedOut
		res.Reason = fmt.Sprintf("timed out after %s", t.Timeout)
		res.Hint = raise(r.req, "timeout", "timeout")
	case cause != nil:
		res.Status, res.ExitCode, res.Code = run.Cancelled, run.ExitCancelled, run.CodeCancelled
		res.Reason = "cancelled"
	case exit.OutOfMemory:
		res.Status, res.ExitCode, res.Code = run.OutOfMemory, run.ExitOutOfMemory, run.CodeOutOfMemory
		res.Hint = raise(r.req, "resources.memory", "memory")
		switch {
		case exit.TooManyLocks:
			res.Reason = fmt.Sprintf("out of memory: the tool had more than %d locks of parts of files, which use kernel memory", engine.MaxLocks)
			res.Hint = "have the tool lock fewer parts of files at once"
		case exit.TooManySockets:
			res.Reason = fmt.Sprintf("out of memory: the tool had more sockets than its memory limit of %s allows: one for each 256Ki, and at least %d", inBytes(t.Resources.Memory), engine.MinSockets)
		default:
			res.Reason = fmt.Sprintf("out of memory: the tool used all of its %s", inBytes(t.Resources.Memory))
			if files := exit.Usage.DiskBytes; files > t.Resources.Memory/4 {
				res.Hint = fmt.Sprintf("files are in memory and count too: %d MiB at the end; %s", files>>20, res.Hint)
			}
		}
	case exit.Signal != 0:
		res.Status, res.Code = run.Failed, run.CodeKilled
		res.Reason = fmt.Sprintf("killed by signal %d", exit.Signal)
		res.Hint = r.limitHint(t, exit)
	case exit.Code != 0:
		res.Status, res.Code = run.Failed, run.CodeToolFailed
		res.Reason = fmt.Sprintf("exit status %d", exit.Code)
		res.Hint = r.limitHint(t, exit)
	default:
		res.Status, res.Code, res.Reason = run.Succeeded, "", ""
	}
	r.outputs(t, exit)
}

// raise says how to raise a limit. A flag can raise it for a single tool.
func raise(q *run.Request, key, flag string) string {
	switch {
	case q.Step != "" && key == "timeout":
		return "raise timeout in the step " + q.Step // a step's timeout replaces its tool's
	case q.Step != "" || q.Mocks != nil:
		return "raise " + key + " in the tool"
	}
	return "raise " + key + " in the tool, or --" + flag
}

// limitHint returns a hint about a limit that a failed tool has reached, or "".
func (r *execution) limitHint(t *tool.Tool, exit *engine.Exit) string {
	switch {
	case exit.TooManyProcesses:
		return fmt.Sprintf("the tool reached its limit of %d processes and threads; %s", t.Resources.PIDs, raise(r.req, "resources.pids", "pids"))
	case exit.Full == nil:
		return ""
	}
	what, size, raise := "its disk", t.Resources.Disk, raise(r.req, "resources.disk", "disk")
	for _, v := range t.Volumes {
		if exit.Full.Volume != "" && v.MountPath == exit.Full.Volume {
			what, size, raise = "the volume "+v.MountPath, v.Size, "raise its size in the tool"
		}
	}
	if exit.Full.Files {
		return fmt.Sprintf("the tool made as many files as %s of %s has room for, one for each 4Ki (at least 1024); %s", what, inBytes(size), raise)
	}
	return fmt.Sprintf("the tool's files took all of %s, %s; %s", what, inBytes(size), raise)
}

// outputs parses the tool's outputs. A tool that succeeded must have written all the outputs that it promises, without errors.
func (r *execution) outputs(t *tool.Tool, exit *engine.Exit) {
	res := &r.result
	outputs, err := parseOutputs(exit.Output)
	res.Outputs = outputs
	if err == nil && exit.OutputTruncated {
		err = fmt.Errorf("$MAYFLY_OUTPUT is larger than %s", inBytes(MaxOutputBytes))
	}
	if err == nil {
		var missing []string
		for _, name := range t.Outputs {
			if _, ok := outputs[name]; !ok {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			err = fmt.Errorf("the tool ended without writing the output %s that it declares; write %s=value to $MAYFLY_OUTPUT", strings.Join(missing, ", "), missing[0])
		}
	}
	if err != nil && res.Status == run.Succeeded {
		res.Status, res.ExitCode, res.Code, res.Reason = run.Failed, run.ExitError, run.CodeInvalidOutput, err.Error()
	}
}

// inBytes returns a size for people, who must see that a number counts bytes.
func inBytes(n int64) string {
	text := shape.FormatSize(n)
	if n == 0 || text[len(text)-1] >= '0' && text[len(text)-1] <= '9' {
		text += " bytes"
	}
	return text
}
