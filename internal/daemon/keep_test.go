package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/server"
)

func TestKeeping(t *testing.T) {
	for _, c := range []struct {
		args string
		want server.Keep
	}{
		{"", server.Keep{ArchiveAfter: time.Hour}},
		{"--archive-after 0s", server.Keep{ArchiveAfter: -1}},
		{"--archive-after 30m --keep-runs 90d --keep-logs 36h --keep-size 100Gi --keep-audit 400d", server.Keep{ArchiveAfter: 30 * time.Minute, Runs: 90 * 24 * time.Hour, Logs: 36 * time.Hour, Bytes: 100 << 30, Audit: 400 * 24 * time.Hour}},
	} {
		f := &keeping{}
		fl := flags(f)
		if err := fl.Parse(strings.Fields(c.args)); err != nil || f.policy() != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.args, f.policy(), err, c.want)
		}
	}
	for args, want := range map[string]string{
		"--keep-runs 90":        "has no unit",
		"--keep-runs -1d":       `"-1d" is not a number of days up to 36500; write it as 30d`,
		"--keep-logs 99999d":    `"99999d" is not a number of days up to 36500; write it as 30d`,
		"--keep-logs soon":      "for days write 30d",
		"--keep-size 100GiB":    "write 100Gi",
		"--keep-size 1":         "is out of range",
		"--archive-after -1h":   "is out of range",
		"--keep-size 100Gi x y": "",
	} {
		err := flags(&keeping{}).Parse(strings.Fields(args))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
}

func TestOpenArchive(t *testing.T) {
	dir := t.TempDir()
	for address, want := range map[string]any{
		"":            archive.Dir("data"),
		dir:           archive.Dir(dir),
		dir + "/no":   "--archive: stat " + dir + "/no: no such file or directory; mount or make the folder first",
		"gs://bucket": "--archive has gs://; give a folder, or s3://BUCKET/PREFIX?endpoint=URL&region=REGION",
		"s3://k:canary@bucket": "--archive: the archive's address has credentials; " +
			"put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead",
	} {
		f := &serverFlags{data: "data", keeping: keeping{archive: address}}
		got, err := f.openArchive(t.Context())
		if text, ok := want.(string); ok {
			if err == nil || err.Error() != text {
				t.Errorf("%q: got %v, want %s", address, err, text)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", address, got, err, want)
		}
	}
}

func flags(k *keeping) *pflag.FlagSet {
	fl := pflag.NewFlagSet("server", pflag.ContinueOnError)
	k.add(fl)
	return fl
}
