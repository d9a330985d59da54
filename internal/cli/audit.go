package cli

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/audit"
	"github.com/mayfly-run/mayfly/internal/remote"
)

func newAuditCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Show who has done what on a server, and check that nobody has changed that log",
		Example: `  mayfly audit ls
  mayfly audit verify
  mayfly audit ls --all-projects --all --json > audit.jsonl`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(newAuditListCommand(s), newAuditVerifyCommand(s))
	return c
}

// auditPage is how many entries are asked for at once.
const auditPage = 1000

// auditListFlags are those of mayfly audit ls.
type auditListFlags struct {
	where              whereFlags
	allProjects, whole bool
	since              string
	filter             api.AuditFilter
	asJSON             bool
}

func newAuditListCommand(s streams) *cobra.Command {
	var f auditListFlags
	c := &cobra.Command{
		Use:   "ls",
		Short: "List the latest entries of the audit log, the oldest of them first",
		Long: `List the latest entries of the audit log about the context's project, or with --all-projects of the whole server, the oldest of
them first. With --json each is a line of JSON.`,
		Example: `  mayfly audit ls --actor ada --since 24h
  mayfly audit ls --all-projects --all --json > audit.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.since != "" {
				at, err := timeOrAgo("since", f.since, time.Now())
				if err != nil {
					return &usageError{command: c.CommandPath(), err: err}
				}
				f.filter.Since = at
			}
			r, err := f.where.mustOpen(c.CommandPath())
			if err != nil {
				return err
			}
			defer r.Close()
			return f.list(c.Context(), s, r)
		},
	}
	f.where.add(c.Flags())
	fl := c.Flags()
	fl.BoolVar(&f.allProjects, "all-projects", false, "entries of the whole server, instead of those about the context's project")
	fl.StringVar(&f.filter.Actor, "actor", "", "only what was done with the token of this `NAME`")
	fl.StringVar(&f.filter.Action, "action", "", "only this `ACTION`, such as create-run or use-secrets")
	fl.StringVar(&f.filter.Subject, "subject", "", "only what was about `SUBJECT`, such as runs/ID or secrets/NAME")
	fl.StringVar(&f.since, "since", "", "only entries from `TIME` on: 2026-01-31, 2026-01-31T12:00:00Z, or 24h or 7d for the last 24 hours or 7 days")
	fl.IntVar(&f.filter.Limit, "limit", 50, "print at most `N` entries, up to 1000")
	fl.BoolVar(&f.whole, "all", false, "all entries")
	jsonFlag(fl, &f.asJSON, "print each entry as a line of JSON")
	exclusive(c, "all", "limit")
	return c
}

// timeOrAgo reads the value of a flag: a time, or for how long before now.
func timeOrAgo(flag, text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if days, ok := daysOf(text); ok {
		return now.AddDate(0, 0, -days), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--%s %q is not a time; write it as 2026-01-31, 2026-01-31T12:00:00Z, 24h or 7d", flag, text)
}

// daysOf reads a number of days, such as 7d.
func daysOf(text string) (days int, ok bool) {
	n, err := strconv.ParseUint(strings.TrimSuffix(text, "d"), 10, 16)
	return int(n), err == nil && strings.HasSuffix(text, "d")
}

func (f *auditListFlags) list(ctx context.Context, s streams, r *remote.Remote) error {
	project := r.Project
	if f.allProjects {
		project = ""
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	if !f.asJSON {
		fmt.Fprintln(table, "NUMBER\tTIME\tACTOR\tADDRESS\tACTION\tPROJECT\tSUBJECT\tOUTCOME\tDETAILS")
	}
	write := func(e *audit.Entry) error {
		if f.asJSON {
			return printJSONLine(s.out, e)
		}
		var details []string
		for _, k := range slices.Sorted(maps.Keys(e.Details)) {
			details = append(details, k+"="+e.Details[k])
		}
		_, err := fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Number, e.Time.Local().Format(time.DateTime), cell(cmp.Or(e.Actor, "-")), cell(cmp.Or(e.Address, "-")),
			cell(e.Action), cell(cmp.Or(e.Project, "-")), cell(e.Subject), cell(e.Outcome), cell(strings.Join(details, " ")))
		return err
	}
	if f.whole {
		f.filter.First, f.filter.Limit = true, auditPage
		return walkAudit(ctx, r, project, f.filter, write, table.Flush)
	}
	page, err := r.Audit(ctx, project, f.filter)
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(page.Entries) {
		if err := write(&e); err != nil {
			return err
		}
	}
	return table.Flush()
}

// walkAudit calls each with the entries that match, and paged after each page of them.
func walkAudit(ctx context.Context, r *remote.Remote, project string, f api.AuditFilter, each func(*audit.Entry) error, paged func() error) error {
	for {
		page, err := r.Audit(ctx, project, f)
		if err != nil {
			return err
		}
		for i := range page.Entries {
			if err := each(&page.Entries[i]); err != nil {
				return err
			}
		}
		if err := paged(); err != nil {
			return err
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return nil
		}
	}
}

func newAuditVerifyCommand(s streams) *cobra.Command {
	var w whereFlags
	var known string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify [FILE|-]",
		Short: "Check that no entry of the audit log was changed, removed, inserted or moved",
		Long: `Check that no entry of the audit log was changed, removed, inserted or moved since it was written. The log is the
server's, or that in FILE (- for standard input), which must be the output of mayfly audit ls --all-projects --all --json.

If all is well, it prints the number and the hash of the last entry: the head. Whoever can write to the database could cut the end of
the log off, or write all of it anew, and what is left would fit. Keep the head elsewhere, and give it to the next check with --head:
then both are found. It is found until the server removes that entry (mayfly server --keep-audit).`,
		Example: `  mayfly audit verify
  mayfly audit verify --head HASH
  mayfly audit ls --all-projects --all --json | mayfly audit verify -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			known = strings.ToLower(known)
			if sum, err := hex.DecodeString(known); c.Flags().Changed("head") && (err != nil || len(sum) != sha256.Size) {
				return &usageError{command: c.CommandPath(), err: errors.New("--head must be the 64 hexadecimal digits that audit verify printed")}
			}
			v := &audit.Verifier{Known: known}
			if len(args) == 1 {
				if err := verifyFile(args[0], s.in, v); err != nil {
					return err
				}
			} else {
				r, err := w.mustOpen(c.CommandPath())
				if err != nil {
					return err
				}
				defer r.Close()
				if v, err = verifyServer(c.Context(), r, known); err != nil {
					return err
				}
			}
			if err := v.End(); err != nil {
				return err
			}
			gone := v.Removed()
			if asJSON {
				return printJSONLine(s.out, struct {
					First   int64        `json:"first"`
					Head    audit.Head   `json:"head"`
					Removed *audit.Entry `json:"removed,omitempty"`
				}{v.First(), v.Head(), gone})
			}
			switch {
			case gone != nil:
				fmt.Fprintf(s.err, "mayfly: the log begins with entry %d: the server removed those before it at %s, says entry %d; compare that with its --keep-audit\n",
					v.First(), gone.Time.Local().Format(time.DateTime), gone.Number)
			case v.First() > 1:
				fmt.Fprintf(s.err, "mayfly: the entries before %d aren't there, and aren't checked\n", v.First())
			}
			_, err := fmt.Fprintf(s.out, "entries %d to %d are as they were written; head %s\n", v.First(), v.Head().Number, v.Head().Hash)
			return err
		},
	}
	w.add(c.Flags())
	c.Flags().StringVar(&known, "head", "", "the `HASH` of an entry that was the last one once, kept elsewhere")
	jsonFlag(c.Flags(), &asJSON, "print the first number and the head as JSON")
	return c
}

// verifyServer checks a server's log from its beginning up to its end.
func verifyServer(ctx context.Context, r *remote.Remote, known string) (*audit.Verifier, error) {
	begin, err := r.Audit(ctx, "", api.AuditFilter{Limit: 1})
	for err == nil {
		v := &audit.Verifier{Known: known}
		err = walkAudit(ctx, r, "", api.AuditFilter{First: true, Limit: auditPage}, v.Add, func() error { return nil })
		if err == nil {
			err = v.Begins(cmp.Or(begin.Begin, &audit.Head{Hash: audit.First}))
		}
		if err == nil {
			return v, v.Reached(begin.Head)
		}
		// Entries may have been removed while the log was read.
		now, failed := r.Audit(ctx, "", api.AuditFilter{Limit: 1})
		if failed != nil || now.Begin == nil || begin.Begin != nil && *begin.Begin == *now.Begin {
			return v, err
		}
		begin, err = now, nil
	}
	return nil, err
}

// verifyFile checks the entries of a file, one JSON object a line.
func verifyFile(path string, stdin io.Reader, v *audit.Verifier) (err error) {
	in := stdin
	if path == "-" {
		path = "standard input"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("read the audit log: %w", err)
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxAuditLine)
	n := 0
	for lines.Scan() {
		n++
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var e audit.Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, &audit.BrokenError{Why: "the line isn't an entry: " + err.Error()})
		}
		if err := v.Add(&e); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("%s:%d: %w", path, n+1, &audit.BrokenError{Why: "the line is longer than an entry can be"})
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// maxAuditLine is more than an entry has.
const maxAuditLine = 4 << 20
