// Command sqlite compares drivers for SQLite under the load that package sqlstore makes of a server. It builds the command load
// with each of them, and runs it alternately, on new databases; it prints the medians as a table.
//
//	go run . [-rounds N] [-runs N] [-clients N] [-dir DIR]
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// drivers are the tags of load, with the modules.
var drivers = []struct{ tag, module string }{
	{"modernc", "modernc.org/sqlite"},
	{"ncruces", "github.com/ncruces/go-sqlite3"},
}

// rows are the measurements of load, by their names in its JSON.
var rows = []struct{ key, what, format string }{
	{"runs_per_second", "runs accepted and ended per second", "%.0f"},
	{"cpu_s", "processor time of the load", "%.2f s"},
	{"accept_p50_ms", "accept, p50", "%.1f ms"},
	{"accept_p99_ms", "accept, p99", "%.1f ms"},
	{"list_p50_ms", "list of 50 runs meanwhile, p50", "%.2f ms"},
	{"open_ms", "opening of a database, to the first answer", "%.1f ms"},
	{"peak_mib", "peak resident memory", "%.0f MiB"},
}

func main() {
	rounds := flag.Int("rounds", 5, "how many times each driver is measured")
	runs := flag.Int("runs", 20_000, "how many runs are accepted and ended each time")
	clients := flag.Int("clients", 128, "how many clients write at once")
	dir := flag.String("dir", "/var/tmp", "where the databases are: a file system on a disk")
	flag.Parse()
	if err := compare(*dir, *rounds, *runs, *clients); err != nil {
		fmt.Fprintln(os.Stderr, "sqlite:", err)
		os.Exit(1)
	}
}

func compare(dir string, rounds, runs, clients int) (err error) {
	work, err := os.MkdirTemp(dir, "mayfly-bench-sqlite-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	empty, err := build(work, "none")
	if err != nil {
		return err
	}
	programs, sizes := map[string]string{}, map[string]int64{}
	for _, d := range drivers {
		if programs[d.tag], err = build(work, d.tag); err != nil {
			return err
		}
		if sizes[d.tag], err = size(programs[d.tag]); err != nil {
			return err
		}
	}
	without, err := size(empty)
	if err != nil {
		return err
	}
	all := map[string][]map[string]float64{}
	for range rounds {
		for _, d := range drivers {
			m, err := measure(work, programs[d.tag], runs, clients)
			if err != nil {
				return fmt.Errorf("%s: %w", d.module, err)
			}
			fmt.Fprintf(os.Stderr, "%s %v\n", d.tag, m)
			all[d.tag] = append(all[d.tag], m)
		}
	}
	fmt.Printf("| medians of %d rounds, %d runs by %d clients |", rounds, runs, clients)
	for _, d := range drivers {
		fmt.Printf(" %s |", d.module)
	}
	fmt.Println("\n|---|---|---|")
	for _, r := range rows {
		fmt.Printf("| %s |", r.what)
		for _, d := range drivers {
			fmt.Printf(" "+r.format+" |", median(all[d.tag], r.key))
		}
		fmt.Println()
	}
	fmt.Print("| stripped static program, of which the driver |")
	for _, d := range drivers {
		fmt.Printf(" %.1f MiB, %.1f |", mib(sizes[d.tag]), mib(sizes[d.tag]-without))
	}
	fmt.Println()
	return nil
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// build builds load with a tag.
func build(dir, tag string) (string, error) {
	out := filepath.Join(dir, tag)
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-tags", tag, "-o", out, "./load")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("build load with %s: %w", tag, err)
	}
	return out, nil
}

func size(file string) (int64, error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// measure measures one driver on a new database, with the schema of package sqlstore.
func measure(dir, program string, runs, clients int) (map[string]float64, error) {
	data, err := os.MkdirTemp(dir, "data")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(data, "mayfly.db")
	if _, err := execute(program, "-file", file, "-schema", "../../internal/store/sqlstore/migrations/00001_start.sql"); err != nil {
		return nil, err
	}
	out, err := execute(program, "-file", file, "-runs", strconv.Itoa(runs), "-clients", strconv.Itoa(clients))
	if err != nil {
		return nil, err
	}
	var m map[string]float64
	if err := json.Unmarshal(out, &m); err != nil {
		return nil, err
	}
	return m, os.RemoveAll(data)
}

func execute(program string, args ...string) ([]byte, error) {
	c := exec.Command(program, args...)
	var errOut bytes.Buffer
	c.Stderr = &errOut
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, errOut.String())
	}
	return out, nil
}

func median(all []map[string]float64, key string) float64 {
	values := []float64{}
	for _, m := range all {
		values = append(values, m[key])
	}
	slices.Sort(values)
	return values[len(values)/2]
}
