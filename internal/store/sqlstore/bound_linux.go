package sqlstore

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// userTimeout sets how long sent data may be unacknowledged: TCP_USER_TIMEOUT in tcp(7).
func userTimeout(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unacknowledged.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
