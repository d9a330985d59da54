package sandbox

import (
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRulesThatTheKernelRefuses: such a rule is an error, even if the others are right.
func TestRulesThatTheKernelRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		rules [][]byte
		want  error
	}{
		"none":          {nil, nil},
		"good":          {[][]byte{firstPacket()}, nil},
		"unknown":       {[][]byte{firstPacket(), expression("mayfly"), firstPacket()}, unix.ENOENT},
		"no such key":   {[][]byte{loadMeta(10_000)}, unix.ERANGE},
		"no attributes": {[][]byte{expression("cmp")}, unix.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() {
				runtime.LockOSThread() // never unlocked: the thread and its namespace end with the goroutine
				err := unix.Unshare(unix.CLONE_NEWNET)
				if err == nil {
					err = applyRules("test", "chain", c.rules)
				}
				done <- err
			}()
			if err := <-done; !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	message := func(size uint32, kind uint16, code int32) []byte {
		b := binary.NativeEndian.AppendUint32(nil, size)
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = append(b, make([]byte, 10)...)
		return binary.NativeEndian.AppendUint32(b, uint32(code))
	}
	good := message(20, unix.NLMSG_ERROR, 0)
	for name, c := range map[string]struct {
		answer []byte
		count  uint32
		ok     bool
	}{
		"nothing":   {nil, 0, true},
		"one":       {good, 1, true},
		"two":       {append(good, good...), 2, true},
		"an error":  {append(good, message(20, unix.NLMSG_ERROR, -2)...), 1, false},
		"too long":  {message(21, unix.NLMSG_ERROR, 0), 0, false},
		"too short": {message(3, unix.NLMSG_ERROR, 0), 0, false},
		"another":   {message(20, unix.NLMSG_DONE, 0), 0, false},
		"cut off":   {good[:19], 0, true},
	} {
		if count, err := acknowledged(c.answer); count != c.count || (err == nil) != c.ok {
			t.Errorf("%s: got %d, %v, want %d, success %v", name, count, err, c.count, c.ok)
		}
	}
}
