//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

var loopback = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}

// attempts bounds how often is sent to one socket.
const attempts = 200

// holdSockets fills the queues of as many sockets of one kind (tcp, backlog or udp) as it can have, prints their number, and
// holds them until its input ends.
func holdSockets(args []string) {
	fill := map[string]func() error{"tcp": fillTCP, "backlog": fillBacklog, "udp": fillUDP}[args[0]]
	most := map[string]int{"tcp": 150, "backlog": 70, "udp": 300}[args[0]] // each fill makes 3, 7 or 1 sockets, and more than 512 end the run
	sockets := 0
	// When the limit is reached, connections are made slowly, or not at all.
	for end := time.Now().Add(20 * time.Second); sockets < most && time.Now().Before(end) && fill() == nil; {
		sockets++
	}
	fmt.Printf("sockets\t%d\n", sockets)
	var end [1]byte
	_, _ = unix.Read(0, end[:])
}

// enlarge asks for the largest buffers of a socket.
func enlarge(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<30)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<30)
}

func listener() (fd int, at unix.Sockaddr, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
		return 0, nil, err
	}
	enlarge(fd)
	if err = unix.Bind(fd, loopback); err != nil {
		return 0, nil, err
	}
	if err = unix.Listen(fd, 4096); err != nil {
		return 0, nil, err
	}
	at, err = unix.Getsockname(fd)
	return fd, at, err
}

// connectAndFill connects and writes until the connection takes no more.
func connectAndFill(at unix.Sockaddr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	enlarge(fd)
	// The timeout also applies to connecting (socket(7)).
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		return err
	}
	if err := unix.Connect(fd, at); err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	block := make([]byte, chunk)
	for range attempts {
		if _, err = unix.Write(fd, block); err != nil {
			break
		}
	}
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	return err
}

func fillTCP() error {
	l, at, err := listener()
	if err != nil {
		return err
	}
	if err := connectAndFill(at); err != nil {
		return err
	}
	_, _, err = unix.Accept(l)
	return err
}

// fillBacklog makes connections that nobody accepts, which belong to no process yet.
func fillBacklog() error {
	_, at, err := listener()
	for i := 0; err == nil && i < 3; i++ {
		err = connectAndFill(at)
	}
	return err
}

// abandonConnections makes connections that nobody accepts, and closes their other ends, so that no descriptor is left of
// either end. Together they would hold some hundreds of megabytes.
func abandonConnections([]string) {
	block := make([]byte, 64<<10)
	for made := 0; made < 40000; {
		_, at, err := listener()
		if err != nil {
			report("listen", err)
			return
		}
		for range 100 {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				report("socket", err)
				return
			}
			_ = unix.Connect(fd, at) // the kernel continues by itself
			_, _ = unix.Write(fd, block)
			_ = unix.Close(fd)
			made++
		}
	}
	time.Sleep(time.Minute) // the run must end meanwhile
	fmt.Println("abandoned\tdone")
}

// cork begins datagrams that it never sends. Each holds memory in a queue that no cgroup counts. Its argument is the number of
// processes.
func cork(args []string) {
	processes, err := strconv.Atoi(args[0])
	if err != nil {
		report("processes", err)
		return
	}
	if processes > 1 {
		c := exec.Command("/proc/self/exe", "cork", strconv.Itoa(processes-1))
		c.Stdout = os.Stdout
		if err := c.Start(); err != nil {
			report("process", err)
		}
		defer func() { _ = c.Wait() }() // the child reports its own errors
	}
	block := make([]byte, 60000)
	for range 900 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			report("socket", err)
			break
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: loopback.Addr, Port: 9}); err != nil {
			report("connect", err)
			break
		}
		_ = unix.Sendto(fd, block, unix.MSG_MORE, nil)
	}
	time.Sleep(time.Minute) // the run must end meanwhile
	fmt.Println("corked\tdone")
}

func fillUDP() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	enlarge(fd)
	if err := unix.Bind(fd, loopback); err != nil {
		return err
	}
	at, err := unix.Getsockname(fd)
	block := make([]byte, 60000)
	for i := 0; err == nil && i < attempts; i++ {
		err = unix.Sendto(fd, block, 0, at)
	}
	return err
}

// queues tries what would wait in queues that no cgroup counts: errors, packets that come back with a time stamp, and answers
// to pings. For each it prints how many wait.
func queues([]string) {
	closed := &unix.SockaddrInet4{Addr: loopback.Addr, Port: 9}
	waiting := func(name string, fd, flags int) {
		n := 0
		for deadline := time.Now().Add(200 * time.Millisecond); ; {
			_, _, _, _, err := unix.Recvmsg(fd, make([]byte, 64), make([]byte, 512), flags|unix.MSG_DONTWAIT)
			if err == nil {
				n++
			} else if time.Now().After(deadline) {
				break
			}
		}
		fmt.Printf("%s\t%d\n", name, n)
	}
	datagrams := func(name string) int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		report(name+" socket", err)
		return fd
	}

	fd := datagrams("recverr")
	report("recverr option", unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1))
	_ = unix.Sendto(fd, []byte("x"), 0, closed)
	waiting("recverr", fd, unix.MSG_ERRQUEUE)

	fd = datagrams("timestamping")
	report("timestamping option", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPING, unix.SOF_TIMESTAMPING_TX_SOFTWARE|unix.SOF_TIMESTAMPING_SOFTWARE))
	_ = unix.Sendto(fd, []byte("x"), 0, closed)
	waiting("timestamping", fd, unix.MSG_ERRQUEUE)

	_, err := unix.Open("/proc/sys/net/core/tstamp_allow_data", unix.O_RDONLY, 0)
	report("tstamp_allow_data", err)
	fd = datagrams("timestamp message")
	message := make([]byte, unix.CmsgSpace(4))
	header := (*syscall.Cmsghdr)(unsafe.Pointer(&message[0]))
	header.Level, header.Type = unix.SOL_SOCKET, unix.SO_TIMESTAMPING
	header.SetLen(unix.CmsgLen(4))
	binary.NativeEndian.PutUint32(message[unix.CmsgLen(0):], unix.SOF_TIMESTAMPING_TX_SOFTWARE)
	_, err = unix.SendmsgN(fd, []byte("x"), message, closed, 0)
	report("timestamp message sent", err)
	waiting("timestamp message", fd, unix.MSG_ERRQUEUE)

	fd = datagrams("zerocopy")
	report("zerocopy option", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1))

	fd = datagrams("buffer")
	before, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	report("buffer option", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4*before))
	after, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	fmt.Printf("buffer grew by\t%d\n", after-before)

	for name, s := range map[string]struct {
		family, protocol int
		request          byte
		to               unix.Sockaddr
	}{
		"ping":  {unix.AF_INET, unix.IPPROTO_ICMP, 8, loopback},
		"ping6": {unix.AF_INET6, unix.IPPROTO_ICMPV6, 128, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}},
	} {
		fd, err := unix.Socket(s.family, unix.SOCK_DGRAM, s.protocol)
		report(name+" socket", err)
		report(name+" sent", unix.Sendto(fd, []byte{s.request, 0, 0, 0, 0, 0, 0, 1}, 0, s.to))
		waiting(name, fd, 0)
	}
}
