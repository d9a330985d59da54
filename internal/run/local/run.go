package local

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/run/failure"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// Images finds and fetches the images of runs.
type Images interface {
	// Lookup finds an image on this machine, without a network. The error is image.ErrNotFound if it isn't there.
	Lookup(ref string) (*image.Image, error)
	// Pull fetches an image.
	Pull(ctx context.Context, ref string, opts image.PullOptions) (*image.Image, error)
	// Hold keeps an image from being removed until release is called.
	Hold(ctx context.Context, img *image.Image, owner string) (release func() error, err error)
}

// Runner runs tools on one engine. Its fields must be set before the first run and not change afterwards. It may run any
// number of tools at once.
type Runner struct {
	Engine  engine.Engine
	Images  Images
	Secrets secret.Source
	Policy  *policy.Policy // nil for a host without a policy
	Sealer  run.Sealer     // seals values between runs; nil for a runner of single tools
	Places
}

// Options connect a run with this machine. They are not part of its request.
type Options struct {
	run.Watch
	// Stdin is the tool's standard input; nil means none.
	Stdin io.Reader
	// Stdout and Stderr get the tool's output, with secrets masked. If both are nil, the output goes to log events.
	Stdout, Stderr io.Writer
	// Progress, if not nil, is called while the image is pulled.
	Progress func(image.ProgressEvent)
	// Resized reports new sizes of the terminal.
	Resized <-chan [2]uint16
	// Attach, if not nil, is called when the tool starts, and detach when it has ended. In between, the terminal on Stdin
	// belongs to the tool.
	Attach func() (detach func())
}

// Run implements run.Runner: it runs a tool to its end, and seals the values for later runs.
func (r *Runner) Run(ctx context.Context, req *run.Request, watch run.Watch) (*run.Result, error) {
	x := r.execution(req, Options{Watch: watch})
	x.seals = true
	return x.do(ctx)
}

// RunWith runs a single tool that may use this machine's terminal. The outputs in the result are not masked.
func (r *Runner) RunWith(ctx context.Context, req *run.Request, opts Options) (*run.Result, error) {
	return r.execution(req, opts).do(ctx)
}

func (r *Runner) execution(req *run.Request, opts Options) *execution {
	asked := *req
	if asked.ID == "" {
		asked.ID = run.NewID()
	}
	x := &execution{Runner: r, req: &asked, opts: opts, events: run.NewSequence(asked.ID, opts.Emit), seen: map[engine.Connection]bool{}}
	x.result.Outputs = map[string]string{}
	x.masker.Store(secret.NewRedactor())
	return x
}

// execution is one run in progress.
type execution struct {
	*Runner
	req    *run.Request
	opts   Options
	masker atomic.Pointer[secret.Redactor]

	seals      bool      // values for later runs are sealed
	inherited  [][]byte  // values to mask that earlier runs passed on
	ownSecrets [][]byte  // values of the secrets of the tool
	stdin      *input    // shared by all attempts, if there may be several
	resized    [2]uint16 // the terminal's last size, once it has changed

	events *run.Sequence
	seen   map[engine.Connection]bool
	// remedies has the remedies by rule, so that a tool that retries a connection many times costs little.
	remedies map[string]string
	result   run.Result
}

// unseal unseals the values of earlier runs and masks them from now on.
func (r *execution) unseal(ctx context.Context) error {
	if r.req.Masked == nil {
		return nil
	}
	if r.Sealer == nil {
		return errors.New("the request has sealed values, but this runner has no key to open them")
	}
	handed, err := run.Unseal(ctx, r.Sealer, r.req.Masked)
	if err != nil {
		return fmt.Errorf("open the values of earlier runs: %w", err)
	}
	r.inherited = handed.Masked
	r.masker.Store(secret.NewRedactor(r.inherited...))
	return nil
}

// keepArtifacts stores the artifacts of a succeeded run, and drops them otherwise.
func (r *execution) keepArtifacts(ctx context.Context) (err error) {
	if !slices.ContainsFunc(r.req.Artifacts, func(a run.Artifact) bool { return a.Made }) {
		return nil
	}
	if r.result.Status == run.Succeeded {
		r.result.Artifacts, err = storeArtifacts(ctx, r.Content, r.req.ID, r.req.Artifacts)
	}
	return errors.Join(err, dropArtifacts(r.Content, r.req.ID))
}

// sealHanded seals what later runs get from this one, and masks the outputs in the result if they contain a secret.
func (r *execution) sealHanded(ctx context.Context) error {
	res := &r.result
	if !r.seals || len(r.ownSecrets) == 0 && len(r.inherited) == 0 {
		return nil
	}
	if r.Sealer == nil {
		res.Outputs = map[string]string{}
		return errNoSealer
	}
	handed := &run.Handed{Masked: slices.Concat(r.inherited, r.ownSecrets)}
	if shown := r.masker.Load().Map(res.Outputs); !maps.Equal(shown, res.Outputs) {
		handed.Outputs, res.Outputs = res.Outputs, shown
	}
	var err error
	if res.Handed, err = handed.Seal(ctx, r.Sealer); err != nil {
		return fmt.Errorf("seal the run's values: %w", err)
	}
	return nil
}

var errNoSealer = errors.New("the run has secrets to pass on, but this runner has no key to seal them")

// announceMasks passes the values to mask to the caller before the tool can have written any of them.
func (r *execution) announceMasks(ctx context.Context) error {
	switch {
	case !r.seals || len(r.ownSecrets) == 0:
		return nil
	case r.Sealer == nil:
		return errNoSealer
	case r.opts.Mask == nil:
		return nil
	}
	sealed, err := (&run.Handed{Masked: r.ownSecrets}).Seal(ctx, r.Sealer)
	if err != nil {
		return fmt.Errorf("seal the values to mask: %w", err)
	}
	r.opts.Mask(sealed)
	return nil
}

// do runs the tool through all states and reports the result.
func (r *execution) do(ctx context.Context) (*run.Result, error) {
	r.state(run.Queued, "", 0)
	err := r.unseal(ctx)
	if err == nil {
		err = r.attempts(ctx)
	}
	res := &r.result
	// The result must be complete, so sealing doesn't depend on ctx, which may have ended.
	err = errors.Join(err, r.keepArtifacts(ctx), r.sealHanded(context.WithoutCancel(ctx)))
	res.Timeline.Finished = time.Now().UTC()
	res.DurationMS = res.Timeline.Finished.Sub(res.Timeline.Queued).Milliseconds()
	if err != nil {
		err = withAdvice(r.req.Tool, err)
		r.fail(ctx, err)
		err = r.masked(err)
	}
	mask := r.masker.Load()
	res.Reason = mask.String(res.Reason)
	// Outputs may contain secrets that the tool passes on; the event is for people.
	shown := *res
	shown.Outputs = mask.Map(res.Outputs)
	shown.Handed, shown.Artifacts = nil, nil
	r.state(res.Status, "", 0)
	r.events.Emit(run.Event{Result: &shown})
	return res, err
}

// fail sets the result for a failure of Mayfly itself.
func (r *execution) fail(ctx context.Context, err error) {
	res := &r.result
	f := failure.Of(err)
	res.Status, res.ExitCode, res.Code, res.Reason = f.State, f.ExitCode, f.Code, err.Error()
	// An error that the end of the run caused is not a failure.
	if f.State == run.Error && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		res.Status, res.ExitCode, res.Code = run.Cancelled, run.ExitCancelled, run.CodeCancelled
		res.Reason = "cancelled before the tool started"
		if res.Attempts > 1 {
			res.Reason = fmt.Sprintf("cancelled before attempt %d started", res.Attempts)
		}
	}
}

// masked returns err with every secret in its text masked. An error whose text changes loses what it wraps, except for its code.
func (r *execution) masked(err error) error {
	if text := err.Error(); r.masker.Load().String(text) != text {
		return run.NewError(failure.CodeOf(err), r.masker.Load().String(text))
	}
	return err
}

// Prepared is a run that can be started.
type Prepared struct {
	Tool  *tool.Tool // as this host runs it
	Spec  *engine.Spec
	Local engine.Local  // without secrets and without the sockets of mocks
	Stop  engine.Signal // the signal by which the image wants to be ended; zero means SIGTERM
}

// Prepare returns what the engine needs for a run. It calls find for the image after the policy has allowed the run.
func (r *Runner) Prepare(id string, req *run.Request, find func(ref string) (*image.Image, error)) (*Prepared, error) {
	if err := req.Tool.Runnable(); err != nil {
		return nil, err
	}
	applied, err := r.Policy.Apply(req.Tool)
	if err != nil {
		return nil, err
	}
	if _, err := applied.Inputs(req.Inputs); err != nil { // before the image is fetched
		return nil, err
	}
	img, err := find(applied.Image)
	if err != nil {
		return nil, err
	}
	asked := *req
	asked.Tool = applied
	if asked.Project, err = projectOf(req); err != nil {
		return nil, err
	}
	p := &Prepared{Tool: applied, Stop: stopSignal(img.Config.StopSignal)}
	p.Spec, p.Local, err = Compile(id, &asked, img, r.Places)
	return p, err
}

// attempts prepares the run, and starts the tool as often as its retry allows.
func (r *execution) attempts(ctx context.Context) (err error) {
	release := func() error { return nil }
	defer func() { _ = release() }() // if this fails, the hold ends with the process
	p, err := r.Prepare(r.req.ID, r.req, func(ref string) (img *image.Image, err error) {
		if img, err = r.resolve(ctx, ref); err != nil {
			return nil, err
		}
		r.result.Image = img.Digest
		hold, err := r.Images.Hold(ctx, img, r.req.ID)
		if err != nil {
			return nil, err
		}
		release = hold
		return img, nil
	})
	var inputs *tool.InputError
	if errors.As(err, &inputs) {
		// Missing secrets are reported together with the inputs. The values of the others are dropped.
		_, missing := r.values(ctx, r.req.Tool.SecretNames())
		return errors.Join(err, missing)
	}
	if err != nil {
		return err
	}
	t, spec := p.Tool, p.Spec
	spec.KeepFor = r.req.KeepFor
	if p.Local.Secrets, err = r.secrets(ctx, spec); err != nil {
		return err
	}
	free, err := r.provide(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, free()) }()
	if r.opts.Stdin != nil && mayRetry(t.Retry) {
		r.stdin = newInput(r.opts.Stdin)
		defer r.stdin.close()
	}
	first := 0 // attempts have numbers only if there may be several
	if mayRetry(t.Retry) {
		first = 1
	}
	r.state(run.Creating, "", first)
	for attempt := 1; ; attempt++ {
		again, err := r.attempt(ctx, p, attempt)
		if err != nil || again == nil {
			return err
		}
		pause := backoff(t.Retry, attempt)
		r.state(run.Creating, r.masker.Load().String(fmt.Sprintf("in %s, after: %s", pause, r.result.Reason)), attempt+1)
		if !sleep(ctx, pause) {
			return nil // the result is that of the last attempt
		}
		if err := again(); err != nil {
			return fmt.Errorf("remove the sandbox of attempt %d: %w", attempt, err)
		}
		// Each attempt has its own sandbox.
		spec.ID = fmt.Sprintf("%s-%d", r.req.ID, attempt+1)
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// mayRetry reports whether a tool may have more than one attempt.
func mayRetry(retry *tool.Retry) bool {
	return retry != nil && retry.Attempts > 1
}

// backoff returns the pause after an attempt: it doubles each time, up to a limit.
func backoff(retry *tool.Retry, attempt int) time.Duration {
	d := retry.Backoff
	for i := 1; i < attempt && d < retry.MaxBackoff; i++ {
		d *= 2
	}
	return min(d, retry.MaxBackoff)
}

// resolve finds the image, and pulls it if it isn't on this machine.
func (r *execution) resolve(ctx context.Context, ref string) (*image.Image, error) {
	img, err := r.Images.Lookup(ref)
	if !errors.Is(err, image.ErrNotFound) {
		return img, err
	}
	r.state(run.Pulling, ref, 0)
	return r.Images.Pull(ctx, ref, image.PullOptions{Progress: r.opts.Progress})
}

// secrets fetches the values that the spec names, and masks them from now on.
func (r *execution) secrets(ctx context.Context, spec *engine.Spec) (engine.Secrets, error) {
	names := secretNames(spec)
	if len(names) == 0 {
		return nil, nil
	}
	values, err := r.values(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		r.ownSecrets = append(r.ownSecrets, bytes.Clone(values[name]))
	}
	all := slices.Concat(r.inherited, r.ownSecrets, r.trusting(values))
	for _, v := range spec.Environment {
		if v.Secret == "" {
			continue
		}
		if why := noVariable(v.Name, values[v.Secret]); why != "" {
			return nil, fmt.Errorf("the secret %s can't be the value of the variable %s: %s; mount it as a file: volumes: [{name: %s, secret: %s}]",
				v.Secret, v.Name, why, v.Secret, v.Secret)
		}
	}
	r.masker.Store(secret.NewRedactor(all...))
	return values, r.announceMasks(ctx)
}

// values fetches secrets. The error names all missing ones.
func (r *execution) values(ctx context.Context, names []string) (engine.Secrets, error) {
	values := engine.Secrets{}
	var errs []error
	for _, name := range names {
		value, err := r.Secrets.Get(ctx, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		errs = append(errs, err)
		values[name] = value
	}
	return values, errors.Join(errs...)
}

// maxVariable is the largest size of NAME=value and the zero byte after it that Linux allows (MAX_ARG_STRLEN, execve(2)).
const maxVariable = 128 << 10

// noVariable returns why a value can't be in a variable, or "". The answer contains nothing of the value.
func noVariable(name string, value []byte) string {
	switch {
	case bytes.IndexByte(value, 0) >= 0:
		return "it has a zero byte"
	case !utf8.Valid(value):
		return "it isn't UTF-8" // it would be converted to UTF-8 on its way, and masking wouldn't find it
	case len(name)+1+len(value)+1 > maxVariable:
		return "it is larger than Linux allows, 128 KiB"
	}
	return ""
}

// provide makes what a run needs on this machine while it lives: the files that came with its tool, and the sockets of mocks.
// free removes them.
func (r *execution) provide(ctx context.Context, p *Prepared) (free func() error, err error) {
	var all []func() error
	free = func() error {
		var errs []error
		for _, f := range slices.Backward(all) {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	if _, brings := p.Local.Folders[filesFolder]; brings && p.Tool.Source.Files != "" {
		remove, err := unpackFiles(ctx, r.Content, p.Tool.Source.Files, &p.Local)
		if err != nil {
			return nil, err
		}
		all = append(all, remove)
	}
	if r.req.Mocks == nil {
		return free, nil
	}
	if r.opts.Mocks == nil {
		return nil, errors.Join(errors.New("the request has mocks, but nothing answers for them"), free())
	}
	sockets, err := listenForMocks(r.opts.Mocks, &p.Local)
	if err != nil {
		return nil, errors.Join(err, free())
	}
	all = append(all, sockets.close)
	return free, nil
}

// attempt runs the tool once. again is nil unless retry asks for another attempt; otherwise again removes what this attempt has kept.
func (r *execution) attempt(ctx context.Context, p *Prepared, n int) (again func() error, err error) {
	t, spec := p.Tool, p.Spec
	shown := 0
	if mayRetry(t.Retry) {
		shown, r.result.Attempts = n, n
	}
	var last lastOutput
	stdout, stderr, flush := r.streams(&last)
	streams := engine.Streams{Stdin: r.opts.Stdin, Stdout: stdout, Stderr: stderr}
	if r.stdin != nil {
		var end func()
		streams.Stdin, end = r.stdin.next()
		defer end()
	}
	if r.resized != [2]uint16{} {
		spec.Columns, spec.Rows = r.resized[0], r.resized[1]
	}
	sandbox, err := r.Engine.Start(ctx, spec, p.Local, streams)
	if err != nil {
		return nil, err
	}
	r.state(run.Running, "", shown)
	detach := func() {}
	if r.opts.Attach != nil {
		detach = r.opts.Attach()
	}
	exit, cause, err := r.supervise(ctx, sandbox, p.Stop, t.Timeout)
	detach()
	if flushErr := flush(); err == nil {
		err = flushErr
	}
	// Clean-up doesn't depend on ctx: Close has no context.
	if closeErr := sandbox.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("clean up the sandbox: %w", closeErr))
	}
	if err != nil {
		return nil, err
	}
	r.conclude(t, &exit, cause)
	r.advise(spec, last.lines(), exit.Code)
	r.result.KeptID = ""
	if exit.Kept {
		r.result.KeptID = spec.ID
	}
	// An attempt that timed out counts as failed and may be retried. The end of the run ends its attempts.
	if (cause == nil || errors.Is(cause, errTimeout)) && ctx.Err() == nil && r.retries(t.Retry, n) {
		again = sandbox.Remove
	}
	return again, nil
}

func (r *execution) retries(retry *tool.Retry, n int) bool {
	if retry == nil || n >= retry.Attempts || r.result.Status == run.Succeeded || r.result.Status == run.Cancelled {
		return false
	}
	return len(retry.OnExit) == 0 || slices.Contains(retry.OnExit, r.result.ExitCode)
}

// streams returns the writers to which the engine writes the tool's output. flush writes the rest.
func (r *execution) streams(last *lastOutput) (stdout, stderr io.Writer, flush func() error) {
	mask := r.masker.Load()
	if r.opts.Stdout != nil || r.opts.Stderr != nil {
		out, err := mask.Writer(last.tee(orDiscard(r.opts.Stdout))), mask.Writer(last.tee(orDiscard(r.opts.Stderr)))
		return out, err, func() error { return errors.Join(out.Close(), err.Close()) }
	}
	emit := func(l *run.Log) { r.events.Emit(run.Event{Log: l}) }
	outLog, errLog := &LogWriter{Stream: "stdout", Emit: emit}, &LogWriter{Stream: "stderr", Emit: emit}
	out, err := mask.Writer(last.tee(outLog)), mask.Writer(last.tee(errLog))
	return out, err, func() error {
		joined := errors.Join(out.Close(), err.Close())
		outLog.Flush()
		errLog.Flush()
		return joined
	}
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// errTimeout is the cause of the end of a tool that timed out.
var errTimeout = errors.New("timed out")

// supervise passes on the sandbox's events, ends the tool when its timeout is over or the run is cancelled, and waits for its
// end. cause is why the tool was ended; nil if it ended by itself.
func (r *execution) supervise(ctx context.Context, sandbox engine.Sandbox, stop engine.Signal, timeout time.Duration) (exit engine.Exit, cause, err error) {
	work, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	ended := make(chan struct{})
	var ending sync.WaitGroup
	ending.Go(func() {
		for {
			select {
			case size := <-r.opts.Resized:
				r.resized = size
				_ = sandbox.Resize(size[0], size[1]) // a terminal with the wrong size still works
				continue
			case <-work.Done():
			case <-ended:
				return
			}
			break
		}
		cause = context.Cause(work)
		r.end(sandbox, stop, ended)
	})
	for e := range sandbox.Events() {
		r.sandboxEvent(e)
	}
	exit, err = sandbox.Wait()
	close(ended)
	ending.Wait()
	return exit, cause, err
}

// end asks the tool to end, and kills it after the grace.
func (r *execution) end(sandbox engine.Sandbox, stop engine.Signal, ended <-chan struct{}) {
	// A failure to signal means that the sandbox is gone, which Wait reports.
	_ = sandbox.Signal(cmp.Or(stop, engine.SIGTERM))
	grace := time.NewTimer(r.req.Grace)
	defer grace.Stop()
	select {
	case <-ended:
		return
	case <-grace.C:
	case <-r.opts.Kill:
	}
	_ = sandbox.Signal(engine.SIGKILL)
	<-ended
}

func (r *execution) sandboxEvent(e engine.Event) {
	switch {
	case e.Usage != nil:
		r.events.Emit(run.Event{Metric: e.Usage})
	case e.Connection != nil:
		c := *e.Connection
		// The tool chooses the names, and may put a secret into one.
		mask := r.masker.Load()
		c.Host, c.Reason, c.Suggest = mask.String(c.Host), mask.String(c.Reason), mask.String(c.Suggest)
		if !c.Allowed {
			c.Remedy = r.remedy(c.Suggest)
			r.denied(c)
		}
		r.events.Emit(run.Event{Connection: &c})
	}
}

// maxDenied is the largest number of destinations in a result.
const maxDenied = 100

func (r *execution) denied(c engine.Connection) {
	if len(r.seen) < maxDenied && !r.seen[c] {
		r.seen[c] = true
		r.result.DeniedConnections = append(r.result.DeniedConnections, c)
	}
}

// state records and reports the entry into a state.
func (r *execution) state(s run.State, detail string, attempt int) {
	now := time.Now().UTC()
	line := &r.result.Timeline
	switch s {
	case run.Queued:
		line.Queued = now
	case run.Pulling:
		line.Pulling = now
	case run.Creating:
		if line.Creating.IsZero() {
			line.Creating = now
		}
	case run.Running:
		if line.Started.IsZero() {
			line.Started = now
		}
	}
	r.events.Emit(run.Event{State: &run.StateChange{State: s, Detail: detail, Attempt: attempt}})
}
