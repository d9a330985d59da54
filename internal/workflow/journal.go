package workflow

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mayfly-run/mayfly/internal/run"
)

// Header is what a run of a workflow began with: enough to go on with it.
type Header struct {
	ID       string `json:"id"`
	Workflow string `json:"workflow"`
	// File is the definition's absolute path; Text is the definition itself where it came from standard input.
	File string `json:"file,omitempty"`
	Dir  string `json:"dir,omitempty"` // the working directory then
	Text string `json:"text,omitempty"`
	// Inputs, Environment and Secrets are those of the command line; a secret is a reference such as NAME=env:VARIABLE.
	Inputs      map[string]any `json:"inputs,omitempty"`
	Environment []string       `json:"environment,omitempty"`
	Secrets     []string       `json:"secrets,omitempty"`
}

// entry is one line of a journal.
type entry struct {
	Type string    `json:"type"` // run, step, resume or end
	Time time.Time `json:"time"`

	Run   *Header  `json:"run,omitempty"`
	Again []string `json:"again,omitempty"` // steps that begin anew, with resume

	Step     string            `json:"step,omitempty"`
	Item     *int              `json:"item,omitempty"` // of a step with for_each
	Count    int               `json:"count,omitempty"`
	Items    string            `json:"items,omitempty"` // digest of what the items are made of, with Count
	Status   run.State         `json:"status,omitempty"`
	ExitCode int               `json:"exit_code,omitempty"`
	Code     run.Code          `json:"code,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Outputs  map[string]string `json:"outputs,omitempty"`
	// Artifacts are the digests of what the step made, by name.
	Artifacts map[string]string `json:"artifacts,omitempty"`
	// Sealed is a sealed run.Handed, of a step that may have handed a secret on.
	Sealed []byte `json:"sealed,omitempty"`
}

const (
	entryRun    = "run"
	entryStep   = "step"
	entryResume = "resume"
	entryEnd    = "end"
)

// Journal is the file of one run of a workflow, to which each change of a step's state is appended: its start before it
// starts, its end when it has ended. A kill at any moment leaves a file from which the run can go on; at most the last
// line is cut, and then that change counts as not made. One process at a time has it.
//
//	{"type":"run","run":{"id":…,"file":…,"inputs":…}}
//	{"type":"step","step":"build","status":"running"}
//	{"type":"step","step":"build","status":"succeeded","outputs":{"TAG":"1.2"}}
//	{"type":"end","status":"failed"}
type Journal struct {
	file   *os.File
	sealer run.Sealer
}

// Runs is the directory of journals.
type Runs struct {
	Dir    string
	Sealer run.Sealer
}

func (r Runs) path(id string) string { return filepath.Join(r.Dir, id+".jsonl") }

// ArtifactDir is where the artifacts of a run are.
func (r Runs) ArtifactDir(id string) string { return filepath.Join(r.Dir, id+".artifacts") }

// Create begins the journal of a new run.
func (r Runs) Create(h Header) (*Journal, error) {
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of runs: %w", err)
	}
	f, err := os.OpenFile(r.path(h.ID), os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the run's journal: %w", err)
	}
	j := &Journal{file: f, sealer: r.Sealer}
	err = lock(f)
	if err == nil {
		err = j.append(entry{Type: entryRun, Run: &h}, false)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the run's journal: %w", err), j.Close(), os.Remove(f.Name()))
	}
	return j, nil
}

// errRunning is the error of opening the journal of a run that some process is carrying out.
var errRunning = errors.New("the run is under way in another process")

// Past is what a journal tells of a run.
type Past struct {
	Header Header
	// Status is how the run ended; empty when it didn't, but was killed.
	Status run.State
	// Masked are the secrets that steps have written into their outputs.
	Masked [][]byte
	steps  map[string]*pastStep
}

// pastStep is the last that a journal says of a step.
type pastStep struct {
	StepState
	items string
	ended bool // the run had come to an end since, and not to a good one
}

// Open opens the journal of a run to go on with it, and says what it tells.
func (r Runs) Open(ctx context.Context, id string) (*Journal, *Past, error) {
	if err := checkID(id); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(r.path(id), os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("there is no run %q of a workflow in %s; see: mayfly runs", id, r.Dir)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open the run's journal: %w", err)
	}
	j := &Journal{file: f, sealer: r.Sealer}
	if err := lock(f); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("run %s: %w", id, err), f.Close())
	}
	past, whole, err := r.read(ctx, f)
	if err == nil && past.Header.ID != id {
		err = fmt.Errorf("it is of the run %q", past.Header.ID)
	}
	if err == nil {
		// A line that was cut by a kill is no line; what is appended must not continue it.
		err = f.Truncate(whole)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read the journal %s: %w", f.Name(), err), f.Close())
	}
	return j, past, nil
}

// maxEntry bounds a line: the outputs of one step, sealed and in base64.
const maxEntry = 512 << 20

// read reads a journal, and says up to where it has whole lines.
func (r Runs) read(ctx context.Context, f io.Reader) (*Past, int64, error) {
	past := &Past{steps: map[string]*pastStep{}}
	lines := bufio.NewReaderSize(f, 64<<10)
	var whole int64
	for number := 1; ; number++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			break // with a part of a line, or none
		}
		if err != nil {
			return nil, 0, err
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, 0, fmt.Errorf("line %d is damaged: %w", number, err)
		}
		if number == 1 && (e.Type != entryRun || e.Run == nil) {
			return nil, 0, errors.New("it doesn't begin with a run")
		}
		if err := past.add(ctx, &e, r.Sealer); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", number, err)
		}
		whole += int64(len(line)) + 1
	}
	if whole == 0 {
		return nil, 0, errors.New("it is empty: the run was killed before it began; run the workflow anew")
	}
	return past, whole, nil
}

// readLine returns a line without its end; io.EOF for one that has no end.
func readLine(from *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		piece, err := from.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxEntry:
			return nil, fmt.Errorf("it has a line of more than %d bytes", maxEntry)
		}
	}
}

func (p *Past) add(ctx context.Context, e *entry, sealer run.Sealer) error {
	switch e.Type {
	case entryRun:
		if e.Run == nil || len(p.steps) > 0 {
			return errors.New("it is not the beginning of a run")
		}
		p.Header = *e.Run
	case entryResume:
		p.Status = ""
		for _, name := range e.Again {
			delete(p.steps, name)
		}
	case entryEnd:
		p.Status = e.Status
		for _, s := range p.steps {
			s.ended = e.Status != run.Succeeded
		}
	case entryStep:
		return p.addStep(ctx, e, sealer)
	}
	return nil
}

func (p *Past) addStep(ctx context.Context, e *entry, sealer run.Sealer) error {
	st := StepState{Status: e.Status, ExitCode: e.ExitCode, Code: e.Code, Reason: e.Reason, Outputs: e.Outputs, Artifacts: e.Artifacts}
	if e.Sealed != nil {
		handed, err := run.Unseal(ctx, sealer, e.Sealed)
		if err != nil {
			return fmt.Errorf("the outputs of step %s: %w", e.Step, err)
		}
		st.Outputs = handed.Outputs
		p.Masked = append(p.Masked, handed.Masked...)
	}
	s := p.steps[e.Step]
	if s == nil {
		s = &pastStep{}
		p.steps[e.Step] = s
	}
	s.ended = false
	switch {
	case e.Item != nil:
		if *e.Item < 0 || *e.Item >= len(s.Items) {
			return fmt.Errorf("step %s has no item %d", e.Step, *e.Item)
		}
		s.Items[*e.Item] = st
	case e.Items != "":
		if e.Count < 0 || e.Count > maxReferencedItems {
			return fmt.Errorf("step %s has %d items", e.Step, e.Count)
		}
		if s.items != e.Items || len(s.Items) != e.Count {
			s.Items = make([]StepState, e.Count)
		}
		s.items, s.Status = e.Items, run.Running
	default:
		st.Items = s.Items
		s.StepState = st
	}
	return nil
}

// append writes one line. A line that says that something succeeded is on the disk when it returns.
func (j *Journal) append(e entry, durable bool) error {
	e.Time = time.Now().UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if len(line) > maxEntry {
		return fmt.Errorf("the outputs of step %s are too large to be written down", e.Step)
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	if durable {
		return syncData(j.file)
	}
	return nil
}

// Close lets go of the journal.
func (j *Journal) Close() error { return j.file.Close() }
