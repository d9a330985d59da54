//go:build linux

package server

import (
	"bytes"
	"crypto/tls"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	"github.com/klauspost/compress/zstd"
	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/store/postgrestest"
	"github.com/mayfly-run/mayfly/internal/trace/tracetest"
	"github.com/mayfly-run/mayfly/test/testbed"
)

// canaryValue differs in each of the ways in which it is looked for.
const canaryValue = `c4nary&f00d"1b/3a<9e>`

// searcher looks for a value of a secret in everything that a server and its runners write, and remembers where it has found it.
type searcher struct {
	forms   map[string][]byte // how the value may be written
	zstd    *zstd.Decoder
	found   []string
	looked  map[string]int // at how many things of a kind
	unknown []string       // what couldn't be read
}

func newSearcher(t *testing.T, value string) *searcher {
	t.Helper()
	quoted, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	hexed := hex.EncodeToString([]byte(value))
	s := &searcher{looked: map[string]int{}, forms: map[string][]byte{
		"as it is":     []byte(value),
		"in JSON":      []byte(strings.ReplaceAll(value, `"`, `\"`)),
		"in Go's JSON": bytes.Trim(quoted, `"`),
		"in a query":   []byte(url.QueryEscape(value)),
		"in a path":    []byte(url.PathEscape(value)),
		"quoted by %q": []byte(strings.Trim(fmt.Sprintf("%q", value), `"`)),
		"in hex":       []byte(hexed),
		"in HEX":       []byte(strings.ToUpper(hexed)),
	}}
	// Where the value begins in a longer text decides on how base64 has it. The characters at its ends also have bits of what is beside it.
	for before := range 3 {
		padded := append(make([]byte, before), value...)
		for name, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 for URLs": base64.RawURLEncoding} {
			text := e.EncodeToString(padded)
			s.forms[fmt.Sprintf("in %s after %d bytes", name, before)] = []byte(text[(before*8+5)/6 : len(padded)*8/6])
		}
	}
	if s.zstd, err = zstd.NewReader(nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.zstd.Close)
	return s
}

// data looks at the bytes of a thing of a kind, and at what they are compressed from.
func (s *searcher) data(kind, where string, data []byte) {
	s.looked[kind]++
	s.bytes(kind+" "+where, data)
	if !bytes.HasPrefix(data, []byte{0x28, 0xb5, 0x2f, 0xfd}) { // the magic number of a frame (RFC 8878, section 3.1.1)
		return
	}
	s.looked["compressed "+kind]++
	err := s.zstd.Reset(bytes.NewReader(data))
	var plain []byte
	if err == nil {
		plain, err = io.ReadAll(s.zstd)
	}
	if err != nil {
		s.unknown = append(s.unknown, fmt.Sprintf("%s %s: %v", kind, where, err))
	}
	s.bytes("compressed "+kind+" "+where, plain)
}

func (s *searcher) bytes(where string, data []byte) {
	for form, text := range s.forms {
		if bytes.Contains(data, text) {
			s.found = append(s.found, where+" has it "+form)
		}
	}
}

// folder looks at the files of a folder, their names among them. Files that others remove meanwhile are left out.
func (s *searcher) folder(t *testing.T, kind, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		s.bytes(kind+" name", []byte(path))
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		s.data(kind, path, data)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// database looks at every column of every row.
func (s *searcher) database(t *testing.T, driver, address, tables string) {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var names []string
	for row := range rowsOf(t, db, tables) {
		names = append(names, fmt.Sprint(row["name"]))
	}
	for _, name := range names {
		for row := range rowsOf(t, db, `SELECT * FROM "`+name+`"`) {
			for column, value := range row {
				data, ok := value.([]byte)
				if !ok {
					data = fmt.Append(nil, value)
				}
				s.data("table", name+"."+column, data)
			}
		}
	}
}

// tablesOf is a query for the names of tables, by the driver.
var tablesOf = map[string]string{
	"sqlite": `SELECT name FROM sqlite_master WHERE type = 'table'`,
	"pgx":    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
}

func rowsOf(t *testing.T, db *sql.DB, query string) func(func(map[string]any) bool) {
	return func(yield func(map[string]any) bool) {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			row := map[string]any{}
			for i, name := range columns {
				row[name] = values[i]
			}
			if !yield(row) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// processes looks at the command lines and environments of all processes, except those of tools: they have a process namespace of their own,
// and aren't Mayfly's programs.
func (s *searcher) processes(t *testing.T) {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range all {
		space, _ := os.Readlink(dir + "/ns/pid") // it may have ended
		exe, _ := os.Readlink(dir + "/exe")
		ours := filepath.Dir(exe) == testbed.Bin(t)
		if space != own && !ours {
			continue
		}
		kind := "process"
		if ours {
			kind = filepath.Base(exe)
		}
		for _, file := range []string{"cmdline", "environ"} {
			data, _ := os.ReadFile(dir + "/" + file)
			s.data(kind, dir+"/"+file, data)
		}
		if limits, err := os.ReadFile(dir + "/limits"); ours && kind != "mayfly" && err == nil && !noCores.Match(limits) {
			s.found = append(s.found, kind+" may leave a core dump")
		}
	}
}

// noCores matches the limits of a process of which nothing is dumped.
var noCores = regexp.MustCompile(`(?m)^Max core file size +[01] +[01] `)

// check fails a test if something was found, or if nothing of a kind was looked at.
func (s *searcher) check(t *testing.T, kinds ...string) {
	t.Helper()
	slices.Sort(s.found)
	s.found = slices.Compact(s.found)
	for _, where := range s.found {
		t.Errorf("the value of a secret: %s", where)
	}
	for _, what := range s.unknown {
		t.Errorf("this can't be searched: %s", what)
	}
	for _, kind := range kinds {
		if s.looked[kind] == 0 {
			t.Errorf("no %s was looked at, only %v", kind, s.looked)
		}
	}
}

// TestSearcher hides the canary in each kind of place, so that TestCanary is known to see it there.
func TestSearcher(t *testing.T) {
	t.Parallel()
	packed := func(text string) []byte {
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return w.EncodeAll([]byte(text), w.EncodeAll([]byte(strings.Repeat("another frame ", 100)), nil))
	}
	file := func(data []byte) func(*testing.T, *searcher) {
		return func(t *testing.T, s *searcher) {
			if err := os.WriteFile(filepath.Join(t.TempDir(), "x"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			s.folder(t, "file", t.TempDir()+"/..")
		}
	}
	table := func(value any) func(*testing.T, *searcher) {
		return func(t *testing.T, s *searcher) {
			path := filepath.Join(t.TempDir(), "x.db")
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), `CREATE TABLE things (n BIGINT, value BLOB)`); err != nil {
				t.Fatal(err)
			}
			if _, err := db.ExecContext(t.Context(), `INSERT INTO things VALUES (1, ?)`, value); err != nil {
				t.Fatal(err)
			}
			s.database(t, "sqlite", path, tablesOf["sqlite"])
		}
	}
	process := func(c *exec.Cmd) func(*testing.T, *searcher) {
		return func(t *testing.T, s *searcher) {
			in, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			s.processes(t)
			_ = in.Close() // it ends then
			_ = c.Wait()
		}
	}
	inEnvironment := exec.Command("cat")
	inEnvironment.Env = []string{"X=" + canaryValue}
	for name, hide := range map[string]func(*testing.T, *searcher){
		"file": file([]byte("a" + canaryValue + "b")), "base64, 0": file([]byte(base64.StdEncoding.EncodeToString([]byte("abc" + canaryValue + "d")))),
		"base64, 1": file([]byte(base64.StdEncoding.EncodeToString([]byte("a" + canaryValue + "d")))),
		"base64, 2": file([]byte(base64.URLEncoding.EncodeToString([]byte("ab" + canaryValue + "de")))),
		"hex":       file([]byte(hex.EncodeToString([]byte(canaryValue)))), "HEX": file(fmt.Appendf(nil, "%X", canaryValue)),
		"URL": file([]byte("x?y=" + url.QueryEscape(canaryValue))), "path": file([]byte("/" + url.PathEscape(canaryValue))),
		"JSON": file([]byte(`{"a":"c4nary\u0026f00d\"1b/3a\u003c9e\u003e"}`)), "JSON without escapes of HTML": file([]byte(`"c4nary&f00d\"1b/3a<9e>"`)),
		"compressed file": file(packed("a" + canaryValue)), "text in a table": table("x" + canaryValue), "bytes in a table": table([]byte(canaryValue)),
		"chunk in a table": table(packed(canaryValue)), "command line": process(exec.Command("sh", "-c", "cat >/dev/null; : '"+canaryValue+"'")),
		"environment": process(inEnvironment),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSearcher(t, canaryValue)
			hide(t, s)
			if len(s.found) == 0 || len(s.unknown) > 0 {
				t.Errorf("it isn't found; what can't be read: %q", s.unknown)
			}
		})
	}
	s := newSearcher(t, canaryValue)
	file([]byte("c4nary"))(t, s)
	if len(s.found) > 0 {
		t.Errorf("it is found where it isn't: %q", s.found)
	}
}

// TestCanary has tools use a secret in every way that there is, on a server's own runner and on one in another process, and looks for its value
// wherever something is written: in the database, the archive, the folders of both, the spool, logs, traces, metrics, answers of the API, and the
// command lines and environments of Mayfly's processes, which leave no core dumps either. The programs have no log of more than they write here, and a
// runner has no metrics.
func TestCanary(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { searchSite(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { searchSite(t, postgrestest.Start(t).Database(t)) })
}

const canaryTool = `name: t
image: busybox
environment: [TOKEN=/secrets/token]
volumes: [{name: file, secret: token}]
outputs: [WORD]
command:
  - sh
  - -c
  - |
    cat /secrets/file | tr a-z A-Z; echo; cat /secrets/file; echo "$TOKEN" >&2; echo "WORD=x$TOKEN" >>$MAYFLY_OUTPUT
    i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo "$i $TOKEN is printed on a line that is long enough"; done
`

const canaryFlow = `name: flow
workflow:
  - {name: make, tool: t}
  - {name: use, tool: {image: busybox, args: [{name: word}], command: [sh, -c, "echo $WORD; exit 3"]}, inputs: {word: "${make.WORD}"}}
`

// flood prints until it is ended.
const flood = `name: flood
image: busybox
environment: [TOKEN=/secrets/token]
command: [sh, -c, 'echo up; while :; do yes "LONG $TOKEN" | head -n 500; sleep 0.05; done']
`

func searchSite(t *testing.T, database string) {
	find := newSearcher(t, canaryValue)
	traces := tracetest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", traces.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	metrics, archive, far := freeAddress(t), t.TempDir(), t.TempDir()
	flags := []string{"--archive", archive, "--archive-after", "0s", "--metrics-listen", metrics}
	if database != "" {
		flags = append(flags, "--database", database)
	}
	s := newSite(t, flags...)
	r := s.remote("far", "far", far)
	c := r.start()
	set := s.mayfly("secret", "set", "token")
	set.Stdin = strings.NewReader(canaryValue)
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("set: %s, %v", out, err)
	}
	s.write("t.yaml", canaryTool)
	s.write("flow.yaml", canaryFlow)
	s.write("flood.yaml", strings.Replace(flood, "LONG", strings.Repeat("long ", 400), 1))
	s.must("tool", "push", "t.yaml", "flow.yaml")
	var ids []string
	for _, pool := range []string{"default", "far"} {
		for tool, status := range map[string]int{"t": 0, "flow": 3} {
			a := s.run("run", tool, "--pool", pool)
			if want := strings.ToUpper(canaryValue) + "\n"; a.status != status || !strings.Contains(a.out, want) || !strings.Contains(a.out, " *** is printed") {
				t.Errorf("%s on the pool %s: status %d, %.300q, %s", tool, pool, a.status, a.out, a.err)
			}
			ids = append(ids, s.latestRun())
		}
	}
	for _, pool := range []string{"default", "far", "nobody"} { // given with the run: that of the last pool waits
		args := []string{"run", "t", "--pool", pool, "--secret", "token=-"}
		if pool == "nobody" {
			args = append(args, "--detach")
		}
		given := s.mayfly(args...)
		given.Stdin = strings.NewReader(canaryValue)
		if out, err := given.Output(); err != nil || pool != "nobody" && !strings.Contains(string(out), " *** is printed") {
			t.Errorf("given on the pool %s: %v, %.300q", pool, err, out)
		}
		ids = append(ids, s.latestRun())
	}
	waits := ids[len(ids)-1]
	ids = append(ids, s.whileItIsAway(find, far, c)...)
	tables := func() {
		if database == "" {
			find.database(t, "sqlite", filepath.Join(s.data, "mayfly.db"), tablesOf["sqlite"])
		} else {
			find.database(t, "pgx", database, tablesOf["pgx"])
		}
	}
	tables() // with what the run that waits was given
	s.must("cancel", waits)

	eventually(t, "a log is in the archive", func() bool { return len(files(t, filepath.Join(archive, "logs"))) > 0 })
	s.answers(find, ids)
	find.data("metrics", metrics, httpGet(t, http.DefaultClient, "http://"+metrics+"/metrics", "", http.StatusOK))
	s.stop()
	terminate(c)
	find.data("log", "of the server", []byte(s.log.String()))
	find.data("log", "of the runner", r.log.Bytes())
	find.data("traces", "", traces.Raw())
	find.folder(t, "server's file", filepath.Dir(s.data))
	find.folder(t, "runner's file", far)
	find.folder(t, "archive's file", archive)
	find.folder(t, "host's file", s.home)
	kinds := []string{
		"server's file", "runner's file", "archive's file", "compressed archive's file", "host's file", "table", "compressed table", "log", "traces", "metrics",
		"answer", "spool's file", "mayflyd", "mayfly-shim", "process",
	}
	tables()
	if database != "" {
		at, err := url.Parse(database)
		if err != nil {
			t.Fatal(err)
		}
		find.folder(t, "PostgreSQL's file", filepath.Join(at.Query().Get("host"), "data", "pg_wal"))
		kinds = append(kinds, "PostgreSQL's file")
	}
	find.check(t, kinds...)
	t.Logf("looked at %v", find.looked)
}

// whileItIsAway has a runner fill its spool while the server is killed, and looks at both, and at the processes. It returns the run, which has ended.
func (s *site) whileItIsAway(find *searcher, far string, runner *exec.Cmd) []string {
	t := s.t
	begin := s.mayfly("run", "flood.yaml", "--pool", "far", "--detach", "-q", "--secret", "token=-")
	begin.Stdin = strings.NewReader(canaryValue)
	out, err := begin.Output()
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(string(out))
	s.wait("up\n", "logs", "--find", "up", id)
	find.processes(t)
	if err := s.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.process.Wait() // it was killed
	find.data("log", "of the killed server", []byte(s.log.String()))
	find.folder(t, "server's file", filepath.Dir(s.data)) // with what is written ahead
	eventually(t, "the spool has files", func() bool { return len(files(t, filepath.Join(far, "spool"))) > 1 })
	find.folder(t, "spool's file", filepath.Join(far, "spool"))
	find.processes(t)
	if runner.ProcessState != nil {
		t.Error("the runner has ended")
	}
	s.start()
	s.must("cancel", id)
	if a := s.run("logs", "-f", "-q", id); a.status != 130 {
		t.Errorf("the run ends with %d, %s", a.status, a.err)
	}
	return []string{id}
}

// freeAddress is one at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// httpGet returns an answer, with its header fields. A status other than want fails the test, unless want is 0.
func httpGet(t *testing.T, client *http.Client, url, token string, want int) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all := &bytes.Buffer{}
	if err := resp.Header.Write(all); err != nil {
		t.Fatal(err)
	}
	all.WriteString("\r\n")
	if _, err := all.ReadFrom(resp.Body); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	if want != 0 && resp.StatusCode != want {
		t.Errorf("%s: status %d, %.300s", url, resp.StatusCode, all)
	}
	if want == 0 && resp.StatusCode != http.StatusOK {
		return nil
	}
	return all.Bytes()
}

// answers looks at everything that the API's description has to get about runs.
func (s *site) answers(find *searcher, runs []string) {
	t := s.t
	t.Helper()
	token, err := os.ReadFile(filepath.Join(s.data, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the server of this test
	}}
	get := func(path string, want int) []byte {
		return httpGet(t, client, s.url+path, strings.TrimSpace(string(token)), want)
	}
	_, description, _ := bytes.Cut(get(api.Prefix+"/openapi.json", http.StatusOK), []byte("\r\n\r\n"))
	var doc struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal(description, &doc); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		op, ok := doc.Paths[path]["get"]
		if !ok || strings.HasSuffix(path, "/live") { // it has no end, and its events are answers of the list
			continue
		}
		for _, id := range runs {
			at := strings.NewReplacer("{project}", "default", "{run}", id, "{tool}", "t", "{version}", "1", "{path}", "t.yaml", "{number}", "1", "{step}", "make").Replace(path)
			if strings.Contains(at, "{") {
				continue
			}
			if data := get(at, 0); data != nil {
				seen[op.OperationID] = true
				find.data("answer", at, data)
			}
			if !strings.Contains(path, "{run}") {
				break
			}
		}
	}
	for _, op := range []string{
		"get-run", "list-runs", "get-log", "follow-run", "download-log", "download-events", "get-result", "get-request", "run-connections", "run-metrics",
		"list-artifacts", "list-audit", "list-project-audit", "list-secrets", "get-definition", "get-file",
	} {
		if !seen[op] {
			t.Errorf("%s has no answer", op)
		}
	}
}
