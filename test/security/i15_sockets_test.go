//go:build linux

package security

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/test/testbed"
)

// TestI15_SocketsAreInTheLimit fills the queues of as many sockets as a run may have.
func TestI15_SocketsAreInTheLimit(t *testing.T) {
	b := newBox(t)
	for kind, protocol := range map[string]string{"tcp": "TCP", "backlog": "TCP", "udp": "UDP"} {
		t.Run(kind, func(t *testing.T) {
			input, end, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer input.Close()
			spec := b.spec("attacker", "hold", kind)
			spec.Resources.Memory = 64 << 20
			before := testbed.SocketMemory(t, protocol)
			l, err := b.start(spec, nil, input)
			if err != nil {
				t.Fatal(err)
			}
			var held int64
			for running := true; running && !strings.Contains(l.stdout.String(), "sockets"); {
				select {
				case <-l.ended:
					running = false
				case <-time.After(10 * time.Millisecond):
				}
				held = max(held, testbed.SocketMemory(t, protocol)-before)
			}
			_ = end.Close()
			r, err := l.wait()
			var sockets int // fewer if those of the backlog use up the descriptors
			_, scan := fmt.Sscan(r.lines()["sockets"], &sockets)
			// On v2 the queues may leave the tool no memory for itself.
			if full := testbed.Unified() && r.OutOfMemory; err != nil || !full && (scan != nil || sockets < 1) {
				t.Errorf("%+v, %v, %v", r, err, scan)
			}
			limit := int64(32 << 20) // a quarter of the run's limit, and what connections hold that nobody accepts
			if testbed.Unified() {
				limit = 96 << 20 // the run's whole limit, and what such connections hold
			}
			if held < 4<<20 {
				t.Errorf("the attack filled %d KiB of queues alone", held>>10)
			}
			if held > limit {
				t.Errorf("the sockets of a run whose memory limit is 64 MiB hold %d MiB of the host", held>>20)
			}
			t.Logf("%d sockets hold %d MiB", sockets, held>>20)
		})
	}
}

// TestI15_NoQueueIsNobodys checks that no errors, time stamps and answers to pings wait in queues of sockets, which no cgroup
// counts.
func TestI15_NoQueueIsNobodys(t *testing.T) { noQueueIsNobodys(t, embeddedBox(t).attack) }

func noQueueIsNobodys(t *testing.T, try attack) {
	t.Helper()
	got := try("queues")
	// A packet with a time stamp comes back if the kernel has only one setting for all namespaces, which is the host's.
	returned := map[string]string{"done": "0", "ENOENT": "1"}[got["tstamp_allow_data"]]
	for what, want := range map[string]string{
		"recverr option": "done", "recverr": "0",
		"timestamping option": "EPERM", "timestamping": "0",
		"timestamp message sent": "done", "timestamp message": returned,
		"zerocopy option": "EPERM",
		"buffer option":   "done", "buffer grew by": "0",
		"ping sent": "done", "ping": "0", "ping6 sent": "done", "ping6": "0",
	} {
		if got[what] != want {
			t.Errorf("%s: %q, want %q", what, got[what], want)
		}
	}
}

// TestI15_BuffersAreSmall checks the initial, minimum and maximum sizes of buffers, which are the sandbox's own settings.
func TestI15_BuffersAreSmall(t *testing.T) {
	b := embeddedBox(t)
	for name, want := range map[string]string{
		"ipv4/tcp_rmem": "4096\t16384\t262144", "ipv4/tcp_wmem": "4096\t16384\t2097152", "ipv4/udp_rmem_min": "4096", "ipv4/udp_wmem_min": "4096",
		"core/optmem_max": "4096", "core/somaxconn": "128", "ipv4/tcp_max_tw_buckets": "4096",
	} {
		r := b.run(b.shell("if [ -e /proc/sys/net/"+name+" ]; then cat /proc/sys/net/"+name+"; fi"), nil)
		// A namespace doesn't have the settings that this kernel has only for the whole host.
		if got := strings.TrimSpace(r.stdout); got != want && (got != "" || strings.HasPrefix(name, "ipv4/tcp_")) {
			t.Errorf("%s is %q and should be %q", name, got, want)
		}
	}
}

// TestI15_SocketsAreCounted checks that a run with too many sockets ends. Connections that nobody accepts belong to no cgroup
// and have no descriptor, and no cgroup counts datagrams that are never sent. So the shim counts the sockets.
func TestI15_SocketsAreCounted(t *testing.T) {
	b := newBox(t)
	for _, args := range [][]string{{"attacker", "abandon"}, {"attacker", "cork", "2"}} {
		spec := b.spec(args...)
		spec.Resources.Memory = 32 << 20
		// On v2 their other ends may fill the memory limit before they are counted.
		if r := b.run(spec, nil); !r.OutOfMemory || !r.TooManySockets && !testbed.Unified() || strings.Contains(r.stdout, "done") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// TestI15_AShellsSocketsAreCounted checks the same for a shell in a kept sandbox.
func TestI15_AShellsSocketsAreCounted(t *testing.T) {
	b := newBox(t)
	spec := b.shell("exit 3")
	spec.Resources.Memory = 32 << 20
	b.keep(t, spec)
	said, _, err := b.look(spec, "attacker", "abandon")
	if err == nil || !strings.Contains(err.Error(), "more sockets than") || strings.Contains(said, "done") {
		t.Errorf("%v, %s", err, said)
	}
}
