package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/store"
)

// A runner keeps the sandbox of a run that failed, if that was asked for, and says in each heartbeat which ones it keeps. Whoever opens a
// shell in one meets the runner at this server, since runners have no open port:
//
//	who uses it                                server                                            runner
//	GET …/runs/{run}/shell, Upgrade ──▶  askedShell ID ── Message{Shell: {ID, run}} ──▶
//	                                           ◀── GET /runner/{name}/{instance}/shells/ID, Upgrade
//	◀──────── 101 ────────────── relay ◀─────────────────── frames ──────────────────▶ a shell in the sandbox

// shellOperation opens a shell. It is a GET that does something, with a cookie that a browser sends along from any page.
const shellOperation = "open-shell"

const (
	// meetTime bounds how long a runner may take to connect the shell that it was asked for.
	meetTime = 15 * time.Second
	// shellIdle ends a shell in which nothing was typed or printed for so long.
	shellIdle = 15 * time.Minute
	// removeTime bounds how long the end of a sandbox is waited for.
	removeTime = 20 * time.Second
	// mostKept bounds the sandboxes that a runner keeps.
	mostKept = 100
)

func (s *Server) registerShells() {
	at := "/projects/{project}/runs/{run}"
	huma.Register(s.api, operation(shellOperation, http.MethodGet, at+"/shell", RoleAuthor, "Open a shell in the sandbox of a run that is kept, over a WebSocket"), s.openShell)
	huma.Register(s.api, operation("remove-kept", http.MethodDelete, at+"/kept", RoleOperator, "Remove the sandbox of a run that is kept"), s.removeKept)
	huma.Register(s.api, operation("runner-shell", http.MethodGet, "/runner/{name}/{instance}/shells/{id}", RoleRunner, "Connect a shell that a message asks for, over a WebSocket"), s.runnerShell)
}

// keepFor is for how long a runner keeps a sandbox at most.
func keepFor(asked bool) time.Duration {
	if asked {
		return api.MostKept
	}
	return 0
}

// needKeeping has only a runner carry a run out that keeps its sandbox, if that was asked for.
func needKeeping(row *store.NewRun, req *run.Request) {
	row.Needs = slices.DeleteFunc(slices.Clone(row.Needs), func(l string) bool { return l == needsKeeping })
	if req.KeepFor > 0 {
		row.Needs = append(row.Needs, needsKeeping)
	}
}

func noneKeptOfWorkflows() error {
	const text, remedy = "keep_on_failure is for tools, and this is a workflow", "leave it out, or run the tool of the step that fails"
	p := problem(http.StatusUnprocessableEntity, run.CodeInvalidRequest, text, remedy)
	p.Errors = []api.Wrong{{Where: "body.keep_on_failure", Message: text, Hint: remedy}}
	return p
}

func keptOf(all []api.KeptRun) (out []store.Kept) {
	for _, k := range all {
		out = append(out, store.Kept(k))
	}
	return out
}

// keeperOf returns the runner that keeps the sandbox of a run, and until when. Without one, both are zero.
func (s *Server) keeperOf(ctx context.Context, r store.Run) (holder string, until time.Time, err error) {
	if !r.Over || !slices.Contains(r.Needs, needsKeeping) {
		return "", until, nil
	}
	all, err := s.store.Runners(ctx, s.lease) // not those that it knows: they may be from before the run's end
	if err != nil {
		return "", until, err
	}
	for _, one := range all {
		for _, k := range one.Kept {
			if k.Run == r.ID && k.Until.After(time.Now()) {
				return one.Holder, k.Until.UTC().Truncate(time.Millisecond), nil
			}
		}
	}
	return "", until, nil
}

// kept returns the runner that keeps the sandbox of a run.
func (s *Server) kept(ctx context.Context, project, id string) (holder string, err error) {
	r, err := s.store.Run(ctx, project, id)
	if err != nil {
		return "", s.explain(err, "run "+id)
	}
	holder, _, err = s.keeperOf(ctx, r)
	switch {
	case err != nil:
		return "", s.explain(err, "run "+id)
	case holder == "" && !r.Over:
		return "", problem(http.StatusConflict, run.CodeNotOver, "the run is "+string(r.Status)+", and its sandbox is only kept when it has failed", "wait for its end")
	case holder == "":
		return "", problem(http.StatusNotFound, run.CodeNotKept, "no sandbox of the run is kept: it didn't fail, nobody asked for that, its time is up, or it was removed",
			"run it again with keep_on_failure")
	}
	return holder, nil
}

// elsewhere is the answer for a runner that isn't connected to this server.
func elsewhere(holder string) error {
	return problem(http.StatusServiceUnavailable, run.CodeBusy, "the runner "+shownRunner(holder)+" isn't connected to this server: it has lost its connection, or is connected to another server of the same database",
		"try again; with several servers, ask the one that the runner is connected to")
}

// crossSiteShell says why a request for a shell isn't one of the server's own pages or of a program, or returns nil. A page can set no header
// on a WebSocket, so the browser's own must say where it comes from.
func crossSiteShell(r *http.Request, by credential) *api.Problem {
	origin, site := r.Header.Values("Origin"), r.Header.Values("Sec-Fetch-Site")
	own := func(text string) bool {
		u, err := url.Parse(text)
		return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
	}
	foreign := func(text string) bool { return !own(text) }
	other := func(text string) bool { return text != "same-origin" }
	if slices.ContainsFunc(origin, foreign) || slices.ContainsFunc(site, other) || by.session && len(origin)+len(site) == 0 {
		return problem(http.StatusForbidden, run.CodeCrossSite, "the request for a shell has a session's cookie or comes from a browser, and not from a page of this server",
			"open it from a page of the server itself; programs send Authorization: Bearer TOKEN, and no Origin")
	}
	return nil
}

// shells are the shells that runners were asked for, by their ids.
type shells struct {
	mu    sync.Mutex
	asked map[string]*askedShell
}

type askedShell struct {
	holder string
	met    chan api.ShellConn // gets the runner's side
	over   chan struct{}      // closed when the shell is used no longer
}

// ask makes a place for a shell of a runner.
func (s *shells) ask(holder string) (id string, one *askedShell) {
	id, one = rand.Text(), &askedShell{holder, make(chan api.ShellConn, 1), make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[id] = one
	return id, one
}

// forget ends a shell. A side of the runner's that nobody has taken is closed.
func (s *shells) forget(id string) {
	s.mu.Lock()
	one := s.asked[id]
	delete(s.asked, id)
	s.mu.Unlock()
	close(one.over)
	select {
	case conn := <-one.met:
		_ = conn.Close()
	default:
	}
}

// meet gives the runner's side to whoever waits for it.
func (s *shells) meet(holder, id string, side api.ShellConn) (over <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.asked[id]
	if one != nil && one.holder == holder {
		select {
		case one.met <- side:
			return one.over, nil
		default:
		}
	}
	return nil, noSuchShell
}

var noSuchShell = problem(http.StatusNotFound, run.CodeNoSuchThing, "this server has asked for no such shell, or nobody waits for it any longer", "with several servers, try again: another one may have")

func (s *Server) runnerShell(ctx context.Context, in *struct {
	RunnerName
	ID string `path:"id" maxLength:"64"`
},
) (*huma.StreamResponse, error) {
	by := holder(who(ctx).Pool, in.Name, in.Instance)
	s.shells.mu.Lock()
	one := s.shells.asked[in.ID]
	s.shells.mu.Unlock()
	if one == nil || one.holder != by {
		return nil, noSuchShell
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		side, err := s.upgrade(c)
		if err != nil {
			s.log.Debug("connect a shell of a runner", "runner", in.Name, "error", err)
			return
		}
		defer side.Close()
		over, err := s.shells.meet(by, in.ID, side)
		if err == nil {
			<-over // the one who uses it ends it
		}
	}}, nil
}

// upgrade makes a WebSocket of a request, or answers it.
func (s *Server) upgrade(c huma.Context) (api.ShellConn, error) {
	r, w := humago.Unwrap(c)
	conn, err := websocket.Accept(w, r, nil) // it compares the Origin, too
	if err != nil {
		return nil, err
	}
	return api.WebShell(conn), nil
}

func (s *Server) openShell(ctx context.Context, in *struct {
	InProject
	RunID
	Columns uint16 `query:"cols" minimum:"1" maximum:"1000" default:"80" doc:"how many characters the terminal is wide"`
	Rows    uint16 `query:"rows" minimum:"1" maximum:"1000" default:"24" doc:"how many lines it has"`
},
) (*huma.StreamResponse, error) {
	holder, err := s.kept(ctx, in.Project, in.Run)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		if err := s.shell(c, holder, api.OpenShell{Run: in.Run, ShellSize: api.ShellSize{Columns: in.Columns, Rows: in.Rows}}); err != nil {
			s.refuse(c, asProblem(s.explain(err, "run "+in.Run)))
		}
	}}, nil
}

// shell opens a shell, and passes on what its two sides say until one of them ends. The error is for a request that can still be answered.
func (s *Server) shell(c huma.Context, holder string, ask api.OpenShell) error {
	if !strings.EqualFold(c.Header("Upgrade"), "websocket") {
		c.SetHeader("Upgrade", "websocket")
		return problem(http.StatusUpgradeRequired, run.CodeInvalidRequest, "a shell is opened over a WebSocket, and the request asks for none", "send Upgrade: websocket")
	}
	ctx := c.Context()
	id, asked := s.shells.ask(holder)
	defer s.shells.forget(id)
	ask.ID = id
	if !s.pool.tell(holder, api.Message{Shell: &ask}) {
		return elsewhere(holder)
	}
	var runner api.ShellConn
	late := time.NewTimer(meetTime)
	defer late.Stop()
	select {
	case runner = <-asked.met:
		defer runner.Close()
	case <-late.C:
		return elsewhere(holder)
	case <-s.live.closed:
		return elsewhere(holder)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := s.auditShell(ctx, ask.Run, holder); err != nil {
		return err
	}
	user, err := s.upgrade(c)
	if err != nil {
		s.log.Debug("open a shell", "run", ask.Run, "error", err) // it is answered
		return nil
	}
	defer user.Close()
	s.relay(context.WithoutCancel(ctx), user, runner)
	return nil
}

// auditShell writes who opens a shell before it is open.
func (s *Server) auditShell(ctx context.Context, id, holder string) error {
	r, ok := ctx.Value(recordKey{}).(*record)
	if !ok {
		return errors.New("the request has no record")
	}
	r.Subject, r.Details, r.Written = "runs/"+id, map[string]string{"runner": shownRunner(holder)}, true
	e := r.Entry
	return s.store.Append(context.WithoutCancel(ctx), &e)
}

// relay passes on what the two sides of a shell say, until one of them or the token ends. Of what the user says, only bytes and sizes
// pass, and of what the runner says, only bytes and the end.
func (s *Server) relay(ctx context.Context, user, runner api.ShellConn) {
	var said atomic.Int64
	said.Store(time.Now().UnixNano())
	ended := make(chan error, 2) // nil when the shell has ended, and the user knows
	var passing sync.WaitGroup
	pass := func(from, to api.ShellConn, allowed func(*api.ShellControl) bool) {
		passing.Go(func() { ended <- s.pass(ctx, from, to, allowed, &said) })
	}
	pass(user, runner, func(c *api.ShellControl) bool {
		return c.Exit == nil && c.Resize != nil && c.Resize.Columns > 0 && c.Resize.Rows > 0
	})
	pass(runner, user, func(c *api.ShellControl) bool { return c.Exit != nil && c.Resize == nil })
	if why := s.whyEnded(ctx, ended, &said, user, runner); why != "" {
		saying, late := context.WithTimeout(ctx, aliveTime)
		defer late()
		_ = user.Send(saying, api.ShellFrame{Control: &api.ShellControl{Exit: &api.ShellExit{Code: run.ExitError, Reason: why}}}) // it may have gone
	}
	var closing sync.WaitGroup // each waits for an answer
	closing.Go(func() { _ = user.Close() })
	closing.Go(func() { _ = runner.Close() })
	closing.Wait()
	passing.Wait()
}

// pass passes frames on until there are no more, or one isn't allowed. It waits until the other side has taken one before it reads the next.
func (s *Server) pass(ctx context.Context, from, to api.ShellConn, allowed func(*api.ShellControl) bool, said *atomic.Int64) error {
	for {
		f, err := from.Receive(ctx)
		if err != nil {
			return err
		}
		if f.Control != nil && !allowed(f.Control) {
			return errors.New("what was said about the shell is for the other side, or nothing")
		}
		said.Store(time.Now().UnixNano())
		taking, late := context.WithTimeout(ctx, s.deadlines.write)
		err = to.Send(taking, f)
		late()
		if err != nil || f.Control != nil && f.Control.Exit != nil {
			return err
		}
	}
}

// whyEnded waits for the end of a shell, and returns why it has ended if the user doesn't know.
func (s *Server) whyEnded(ctx context.Context, ended <-chan error, said *atomic.Int64, sides ...api.ShellConn) string {
	look := time.NewTicker(max(s.keepAlive/3, time.Millisecond))
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if s.tokenEnded(ctx) {
				return "the token has ended"
			}
			if time.Since(time.Unix(0, said.Load())) > shellIdle {
				return fmt.Sprintf("nothing was typed or printed for %s", shellIdle)
			}
			for _, side := range sides {
				go side.Alive(ctx)
			}
		case <-s.live.closed:
			return "the server ends"
		case err := <-ended:
			switch {
			case err == nil:
				return ""
			case errors.Is(err, io.EOF):
				return "the connection with the runner has ended"
			}
			return err.Error()
		}
	}
}

// aliveTime bounds the last word about a shell.
const aliveTime = 5 * time.Second

func (s *Server) removeKept(ctx context.Context, in *struct {
	InProject
	RunID
},
) (*struct{}, error) {
	subject(ctx, "runs/"+in.Run)
	keeper, err := s.kept(ctx, in.Project, in.Run)
	if err != nil {
		return nil, err
	}
	if !s.pool.tell(keeper, api.Message{Remove: in.Run}) {
		return nil, elsewhere(keeper)
	}
	r, err := s.store.Run(ctx, in.Project, in.Run)
	if err != nil {
		return nil, s.explain(err, "run "+in.Run)
	}
	look := time.NewTicker(50 * time.Millisecond) // the runner says it to any server
	defer look.Stop()
	for late := time.After(removeTime); ; {
		switch holder, _, err := s.keeperOf(ctx, r); {
		case err != nil:
			return nil, s.explain(err, "run "+in.Run)
		case holder == "":
			return nil, nil //nolint:nilnil // an answer without a body
		}
		select {
		case <-look.C:
		case <-late:
			return nil, problem(http.StatusServiceUnavailable, run.CodeBusy, "the runner "+shownRunner(keeper)+" hasn't said that the sandbox is gone", "look at the run again, and at the runner's log")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
