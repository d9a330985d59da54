package server

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/condition"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/trace"
)

// Store is all that a server keeps, except for contents.
type Store interface {
	store.Tools
	store.Queue
	store.Runs
	store.Access
	store.Sessions
	store.Projects
	store.Audit
	store.Policies
	store.Drafts
	store.Runners
	store.Secrets
	store.Workflows
	store.Wake
	store.Logs
	store.Statistics
	store.Answers
	store.Contents
	store.Clock
}

// Options of a server. Store, Archive and Keys must be set; the caller closes them after Close.
type Options struct {
	Store   Store
	Archive archive.Storage
	Keys    *secret.Keys
	// Conditions evaluates those of workflows.
	Conditions condition.Evaluator
	Log        *slog.Logger
	// Lease is for how long a runner keeps an attempt without a sign of life; 30 s by default.
	Lease time.Duration
	// Keep says where logs of ended runs go, and for how long the server keeps what.
	Keep Keep
	// Poll is how often the server looks for what others have written, even if the store doesn't say that they have; 1 s by
	// default.
	Poll time.Duration
	// QueueSize is how many runs of a project may wait; 0 for any number.
	QueueSize int
	// Limits bound the requests; without them there is no bound.
	Limits Limits
	// Version of the program, for its metrics.
	Version string
	// Traces gets spans of requests and of runs; nil for none. The caller closes it after Close.
	Traces *trace.Tracer
	// SessionCookie is the name of the cookie of sessions without TLS; mayfly-session by default. A browser sends a cookie to all ports of a host,
	// so servers beside each other need different names.
	SessionCookie string
	// Drafts has the drafts; those of Store by default. Folder is where they are, if they are files.
	Drafts store.Drafts
	Folder string
	// Pages serves what a GET or HEAD asks for that is neither below /api/ nor about the server's health; nil for nothing. It sets
	// Content-Security-Policy and Cache-Control: an answer without them may load nothing, and isn't kept.
	Pages http.Handler
}

// Server answers the API and hands out runs. Its life:
//
//	New  ->  Start  ->  Handler serves requests, Link serves a runner in this process  ->  Close
type Server struct {
	store       Store
	drafts      store.Drafts
	plainCookie string
	archive     archive.Contents
	keys        *secret.Keys
	rotating    sync.Mutex
	log         *slog.Logger
	lease       time.Duration
	poll        time.Duration
	tools       *first[*loaded]        // by their digests
	loading     *locks                 // of those that are read, by their digests
	tokens      *recent[store.Token]   // by their hashes
	sessions    *recent[store.Session] // by their hashes
	signedOut   *recent[struct{}]      // sessions that aren't there, by their hashes
	policies    *recent[cachedPolicy]  // by project
	runners     *recent[[]store.Runner]
	limits      Limits
	deadlines   deadlines
	readAtOnce  int
	closed      sync.Once
	limiter     *limiter
	pool        *dispatcher
	flows       *flows
	queues      queues
	live        *hub
	streams     openStreams
	shells      shells
	keep        Keep

	metrics    *metrics
	traces     *trace.Tracer
	folder     string
	readiness  readiness
	compactor  *compactor
	large      large
	whole      chan struct{} // has a place for each request that reads all events of a run
	coming     coming
	conditions condition.Evaluator
	keepAlive  time.Duration // how often a stream says something; only tests change it
	api        huma.API
	mux        *http.ServeMux
	described  sync.Once

	stop context.CancelFunc
	work sync.WaitGroup
}

const (
	defaultLease = 30 * time.Second
	defaultPoll  = time.Second
)

// New returns a server that does nothing yet.
func New(o Options) *Server {
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	if o.Poll == 0 {
		o.Poll = defaultPoll
	}
	if o.Drafts == nil {
		o.Drafts = o.Store
	}
	o.Keep.setDefaults()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		store: o.Store, folder: o.Folder, drafts: o.Drafts, plainCookie: cmp.Or(o.SessionCookie, plainCookie), archive: archive.Contents{In: o.Archive}, keys: o.Keys, log: o.Log, traces: o.Traces, conditions: o.Conditions,
		lease: o.Lease, poll: o.Poll, keepAlive: keepAlive, deadlines: usualDeadlines, readAtOnce: usualAtOnce,
		limits: o.Limits, limiter: newLimiter(), queues: queues{most: o.QueueSize, have: map[string]queueLength{}},
		large: make(large, largeAtOnce), whole: make(chan struct{}, wholeAtOnce), coming: coming{pools: map[string]large{}},
		streams: openStreams{of: map[string]int{}}, live: newHub(), flows: newFlows(), shells: shells{asked: map[string]*askedShell{}},
		keep: o.Keep, compactor: newCompactor(),
		mux: http.NewServeMux(), stop: func() {},

		tools: newFirst[*loaded](loadedFor, mostCached), loading: newLocks(),
		tokens:    newRecent[store.Token](tokenAge, mostTokens),
		sessions:  newRecent[store.Session](tokenAge, mostTokens),
		signedOut: newRecent[struct{}](0, mostTokens),
		policies:  newRecent[cachedPolicy](policyAge, mostPolicies),
		runners:   newRecent[[]store.Runner](presentAge, 1),
	}
	s.pool = newDispatcher(s)
	s.metrics = newMetrics(s, o.Version)
	s.store.Observe(s.wrote, s.traces != nil)
	useProblems()
	config := huma.DefaultConfig("Mayfly", "1")
	config.OpenAPIPath, config.SchemasPath = openAPI, api.Prefix+"/schemas"
	config.DocsPath = ""     // its page loads programs from elsewhere
	config.CreateHooks = nil // they add a $schema to every answer
	config.Components.Schemas = huma.NewMapRegistry(components, schemaName)
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer"},
		"session": {Type: "apiKey", In: "cookie", Name: secureCookie, Description: "of a browser, made with begin-session; a request that isn't a GET also needs " + api.SessionHeader + ": 1"},
	}
	config.Transformers = append(config.Transformers, func(c huma.Context, _ string, answer any) (any, error) {
		if p, ok := answer.(*api.Problem); ok {
			s.auditProblem(c.Context(), p)
		}
		return answer, nil
	})
	s.api = humago.New(s.mux, config)
	if s.traces != nil {
		s.api.UseMiddleware(s.traceRequest)
	}
	s.api.UseMiddleware(s.measure, s.audit, s.authenticate, s.boundStreams, s.once)
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	s.mux.HandleFunc("GET /readyz", s.ready)
	s.mux.Handle("/", rest(o.Pages))
	s.register()
	s.describeKeys()
	s.describeRaw()
	s.servePage()
	s.serveSchemas()
	return s
}

// register makes the operations.
func (s *Server) register() {
	s.registerTools()
	s.registerRuns()
	s.registerWorkflows()
	s.registerLogs()
	s.registerDownloads()
	s.registerSamples()
	s.registerConnections()
	s.registerArtifacts()
	s.registerAttempts()
	s.registerRunLive()
	s.registerDefined()
	s.registerResults()
	s.registerRequests()
	s.registerRunners()
	s.registerShells()
	s.registerTokens()
	s.registerSessions()
	s.registerStatistics()
	s.registerProjects()
	s.registerSecrets()
	s.registerAudit()
	s.registerPolicies()
	s.registerFiles()
	s.registerDrafts()
}

// rest serves what isn't an operation: pages, if there are any.
func rest(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pages != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) && !strings.HasPrefix(r.URL.Path+"/", "/api/") {
			pages.ServeHTTP(w, r)
			return
		}
		writeProblem(w, problem(http.StatusNotFound, run.CodeNoSuchThing, "there is nothing at "+r.Method+" "+r.URL.Path, api.Prefix+"/openapi.json has what there is"))
	})
}

// Start begins the work in the background: leases that ran out, and what other servers have written.
func (s *Server) Start(ctx context.Context) error {
	// While no server was there, nobody could extend a lease.
	if err := s.store.Renew(ctx, s.lease); err != nil {
		return err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.work.Go(func() { s.expire(ctx) })
	s.work.Go(func() { s.forward(ctx) })
	s.work.Go(func() { s.compact(ctx) })
	s.work.Go(func() { s.keepUp(ctx) })
	s.work.Go(func() { s.forget(ctx) })
	events := make(chan struct{}, 1)
	s.work.Go(func() { s.watch(ctx, events) })
	s.work.Go(func() { s.watchEvents(ctx, events) })
	return nil
}

// Handler serves the API and the pages.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if strings.HasPrefix(r.URL.Path, openAPI) {
			s.described.Do(s.describe)
		}
		s.deadlines.serve(s.mux, w, r)
	})
}

// secure sets the headers that all answers have.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff") // what a tool printed is never a page
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// Close ends all streams and the work in the background. It may be called again.
func (s *Server) Close() { s.closed.Do(s.end) }

func (s *Server) end() {
	s.stop()
	s.pool.close()
	s.live.close()
	ended := make(chan struct{})
	go func() {
		s.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(closeTime):
		s.log.Error("the server ends although work in the background goes on; look at the archive's disk")
	}
}

// closeTime bounds how long the end of the server waits for its work in the background. A folder on a disk that hangs knows no time-out.
const closeTime = 10 * time.Second
