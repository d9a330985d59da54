package daemon

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/shape"
)

// machine is what of this machine runs get: the flags.
type machine struct{ cpu, memory, disk string }

func (m *machine) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&m.cpu, "cpu", "", "processors for runs, as a `NUMBER` such as 4 or 500m; by default all of this machine")
	fl.StringVar(&m.memory, "memory", "", "memory for runs, as a `SIZE` such as 16Gi; by default all of this machine")
	fl.StringVar(&m.disk, "disk", "", "what runs may write, as a `SIZE` such as 16Gi; by default as much as the machine has memory, since files of runs are there")
}

// capacity returns what the flags say, and of the machine what they don't say.
func (m *machine) capacity() (api.Capacity, error) {
	total := totalMemory("/proc/meminfo")
	c := api.Capacity{CPU: float64(runtime.NumCPU()), Memory: total, Disk: total}
	if m.cpu != "" {
		v, err := shape.Decode(shape.Processors(), shape.Plain(m.cpu), "--cpu")
		if err != nil {
			return c, err
		}
		c.CPU = float64(v) / 1000
	}
	for _, f := range []struct {
		flag, text string
		into       *int64
	}{{"--memory", m.memory, &c.Memory}, {"--disk", m.disk, &c.Disk}} {
		if f.text == "" {
			continue
		}
		v, err := shape.Decode(shape.Size(1, 1<<60), shape.Plain(f.text), f.flag)
		if err != nil {
			return c, err
		}
		*f.into = v
	}
	return c, nil
}

// totalMemory returns the machine's memory in bytes (proc(5), /proc/meminfo), or 0 if the system doesn't say it.
func totalMemory(file string) int64 {
	in, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer in.Close()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var kibibytes int64
		if rest, ok := strings.CutPrefix(lines.Text(), "MemTotal:"); ok {
			if _, err := fmt.Sscan(rest, &kibibytes); err == nil {
				return kibibytes << 10
			}
		}
	}
	return 0
}
