// Client is the tool in the tests of the network. It attempts what its arguments say, and prints a line for each attempt: the
// target and the outcome, separated by a tab.
package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	commands := map[string]func(args []string) error{
		"dial": dial, "ask": ask, "get": get, "ping": ping, "raw": raw, "flood": flood, "mine": mine, "hoard": hoard,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: client dial|ask|get|ping|raw|flood|mine|hoard …")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

// outcome returns the outcome of an attempt: ok, refused or timeout, or the text of another error.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	}
	return err.Error()
}

// dial connects over TCP to each host:port.
func dial(targets []string) error {
	for _, target := range targets {
		start := time.Now()
		conn, err := net.DialTimeout("tcp", target, 30*time.Second)
		if err == nil {
			conn.Close()
		}
		fmt.Printf("%s\t%s\t%d\n", target, outcome(err), time.Since(start).Milliseconds())
	}
	return nil
}

// ask sends a datagram to each host:port and waits for an answer.
func ask(targets []string) error {
	for _, target := range targets {
		conn, err := net.Dial("udp", target)
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err = conn.Write([]byte("question")); err == nil {
				_, err = conn.Read(make([]byte, 100))
			}
			conn.Close()
		}
		fmt.Printf("%s\t%s\n", target, outcome(err))
	}
	return nil
}

// get fetches URLs, and follows redirects.
func get(urls []string) error {
	client := http.Client{Timeout: 30 * time.Second}
	for _, url := range urls {
		answer, err := client.Get(url)
		text := outcome(err)
		if err == nil {
			body, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
			answer.Body.Close()
			text = "ok " + string(body)
		}
		fmt.Printf("%s\t%s\n", url, text)
	}
	return nil
}

// mine prints for each address whether it is this sandbox's own: whether the sandbox can listen at it. (The system calls that
// list addresses are not allowed.)
func mine(addresses []string) error {
	for _, a := range addresses {
		l, err := net.Listen("tcp", net.JoinHostPort(a, "0"))
		if err == nil {
			l.Close()
		}
		fmt.Printf("%s\t%t\n", a, err == nil)
	}
	return nil
}

// ping sends an echo request to each address, with CAP_NET_RAW.
func ping(targets []string) error {
	for _, target := range targets {
		fmt.Printf("%s\t%s\n", target, outcome(pingOne(netip.MustParseAddr(target))))
	}
	return nil
}

func pingOne(dst netip.Addr) error {
	kind, request, answer := "ip4:icmp", byte(8), byte(0)
	if dst.Is6() {
		kind, request, answer = "ip6:ipv6-icmp", 128, 129
	}
	conn, err := net.Dial(kind, dst.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	message := []byte{request, 0, 0, 0, 0, 1, 0, 1, 'h', 'i'}
	if dst.Is4() { // the kernel computes the checksum of ICMPv6 itself
		sum := uint32(0)
		for i := 0; i < len(message); i += 2 {
			sum += uint32(message[i])<<8 | uint32(message[i+1])
		}
		sum = ^(sum&0xffff + sum>>16)
		message[2], message[3] = byte(sum>>8), byte(sum)
	}
	if _, err := conn.Write(message); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	buf := make([]byte, 1500)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		message := buf[:n]
		if dst.Is4() && n > 20 { // the kernel returns the IPv4 header too
			message = message[20:]
		}
		if len(message) > 0 && message[0] == answer {
			return nil
		}
	}
}

// raw sends IPv4 packets, given in hexadecimal with their headers. It needs CAP_NET_RAW.
func raw(packets []string) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_RAW)
	if err != nil {
		return err
	}
	for _, text := range packets {
		packet, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		if err := syscall.Sendto(fd, packet, 0, &syscall.SockaddrInet4{Addr: [4]byte(packet[16:20])}); err != nil {
			return err
		}
	}
	time.Sleep(100 * time.Millisecond)
	return nil
}

// perProcess is how many connections one process opens: a little less than the descriptors that it may have.
const perProcess = 1000

// flood opens many connections, or flows, to one destination: flood tcp|udp HOST:PORT COUNT. Connections stay open until all
// processes have opened theirs.
func flood(args []string) error {
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	if args[0] == "udp" || count <= perProcess {
		return floodHere(args[0], args[1], count)
	}
	opened, open, err := os.Pipe() // reading ends when each process has closed its end
	if err != nil {
		return err
	}
	hold, release, err := os.Pipe() // the standard input of each process
	if err != nil {
		return err
	}
	var parts []*exec.Cmd
	for ; count > 0; count -= perProcess {
		part := exec.Command("/proc/self/exe", "flood", args[0], args[1], strconv.Itoa(min(count, perProcess)))
		part.Env = append(os.Environ(), "GOMAXPROCS=1", floodPart+"=1")
		part.Stdin, part.Stdout, part.Stderr, part.ExtraFiles = hold, os.Stdout, os.Stderr, []*os.File{open}
		if err := part.Start(); err != nil {
			return err
		}
		parts = append(parts, part)
	}
	_ = open.Close()
	_, err = io.Copy(io.Discard, opened)
	_ = release.Close()
	for _, part := range parts {
		err = errors.Join(err, part.Wait())
	}
	return err
}

// floodPart is the variable that marks one process of several.
const floodPart = "FLOOD_PART"

func floodHere(network, address string, count int) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	kind := syscall.SOCK_STREAM
	if network == "udp" {
		kind = syscall.SOCK_DGRAM
	}
	outcomes := map[string]int{}
	for range count {
		fd, err := syscall.Socket(syscall.AF_INET, kind, 0)
		if err != nil {
			return fmt.Errorf("after %v: %w", outcomes, err)
		}
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
		if err == nil {
			_, err = syscall.Write(fd, []byte(strings.Repeat("x", 1000)))
		}
		outcomes[outcome(err)]++
		if err != nil || kind == syscall.SOCK_DGRAM {
			syscall.Close(fd)
		}
	}
	if os.Getenv(floodPart) != "" { // keep the connections until the other processes have opened theirs
		_ = os.NewFile(3, "open").Close()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	for what, n := range outcomes {
		fmt.Printf("%s\t%d\n", what, n)
	}
	return nil
}

// hoard opens connections, writes to each as much as it takes, reads nothing, and ends: hoard HOST:PORT COUNT.
func hoard(args []string) error {
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	var conns []net.Conn
	for range count {
		conn, err := net.DialTimeout("tcp", args[0], 30*time.Second)
		if err != nil {
			return err
		}
		conns = append(conns, conn)
	}
	for range 10 {
		for _, conn := range conns {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Millisecond))
			_, _ = conn.Write(block)
		}
	}
	fmt.Printf("held\t%d\t0\n", len(conns))
	return nil
}
