package tool

import (
	"testing"
	"time"
)

func TestSetLimits(t *testing.T) {
	r := Resources{CPU: 7, PIDs: 9}
	for _, tt := range []struct{ name, value, err string }{
		{"cpu", "500m", ""},
		{"memory", "256Mi", ""},
		{"disk", "1048576000", ""},
		{"bandwidth", "10Mbps", ""},
		{"pids", "many", `pids must be a whole number, not the text "many"`},
		{"memory", "12Qi", `memory "12Qi" is not a size; write a number with a unit, such as 256Mi or 1G`},
		{"memroy", "1Gi", `unknown key "memroy" in resources; did you mean "memory"?`},
	} {
		err := r.Set(tt.name, tt.value)
		if got := errText(err); got != tt.err {
			t.Errorf("%s %s: got %q, want %q", tt.name, tt.value, got, tt.err)
		}
	}
	if want := (Resources{CPU: 500, Memory: 256 << 20, Disk: 1048576000, PIDs: 9, Bandwidth: 10_000_000}); r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

func TestSetTimeout(t *testing.T) {
	tool := &Tool{Timeout: time.Minute}
	if err := tool.SetTimeout("30"); errText(err) != `timeout "30" has no unit; write 30s for seconds` || tool.Timeout != time.Minute {
		t.Errorf("got %v, %s", err, tool.Timeout)
	}
	if err := tool.SetTimeout("90s"); err != nil || tool.Timeout != 90*time.Second {
		t.Errorf("got %v, %s", err, tool.Timeout)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
