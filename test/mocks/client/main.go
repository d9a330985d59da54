// Client is the tool in the tests of mocks. It prints a line for each attempt: the target and the outcome, separated by a tab.
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	commands := map[string]func(args []string) error{
		"read": read, "own": own, "ask": ask, "big": big, "half": half, "linger": linger, "wait": wait, "many": many, "open": open, "again": again, "shout": shout, "as": as,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: client read|own|ask|big|half|linger|wait|many|open|again|shout|as …")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

// outcome returns "ok" and what was read, or the error: refused, reset, or its text.
func outcome(text []byte, err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case err != nil:
		return err.Error()
	}
	return "ok " + string(text)
}

func dial(target string) (*net.TCPConn, error) {
	conn, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), conn.SetDeadline(time.Now().Add(10 * time.Minute)) // ends what hangs, on any machine
}

// read reads everything that each host:port sends.
func read(targets []string) error {
	for _, target := range targets {
		conn, err := dial(target)
		var text []byte
		if err == nil {
			text, err = io.ReadAll(conn)
			conn.Close()
		}
		fmt.Printf("%s\t%s\n", target, outcome(text, err))
	}
	return nil
}

// own listens at addresses and reads what targets send: own NETWORK ADDRESS… -- TARGET…. In the end the kernel has as many
// ended connections (TIME_WAIT) as there are targets.
func own(args []string) error {
	for len(args) > 0 && args[0] != "--" {
		l, err := net.Listen(args[0], args[1])
		if err != nil {
			return err
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, "own")
				conn.Close()
			}
		}()
		args = args[2:]
	}
	return read(args[1:])
}

// again listens at one address and connects to it twice from another one. The server closes the connections first.
func again(args []string) error {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	defer l.Close()
	from, err := net.ResolveTCPAddr("tcp", args[1])
	if err != nil {
		return err
	}
	d := net.Dialer{LocalAddr: from, Timeout: 5 * time.Second}
	for i := range 2 {
		go func() {
			if conn, err := l.Accept(); err == nil {
				_, _ = io.WriteString(conn, "own")
				conn.Close()
			}
		}()
		conn, err := d.Dial("tcp", args[0])
		if err != nil {
			return err
		}
		text, err := io.ReadAll(conn)
		conn.Close()
		fmt.Printf("%d\t%s\n", i+1, outcome(text, err))
	}
	return nil
}

// ask sends a datagram to each host:port and waits for an answer.
func ask(targets []string) error {
	for _, target := range targets {
		conn, err := net.Dial("udp", target)
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			if _, err = conn.Write([]byte("question")); err == nil {
				_, err = conn.Read(make([]byte, 100))
			}
			conn.Close()
		}
		fmt.Printf("%s\t%s\n", target, outcome(nil, err))
	}
	return nil
}

// big sends N bytes, and reads as many at the same time: big HOST:PORT N.
func big(args []string) error {
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	conn, err := dial(args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	sent := make(chan error, 1)
	go func() {
		h := sha256.New()
		_, err := io.Copy(io.MultiWriter(conn, h), io.LimitReader(&numbers{}, size))
		fmt.Printf("sent\t%x\n", h.Sum(nil))
		sent <- errors.Join(err, conn.CloseWrite())
	}()
	h := sha256.New()
	n, err := io.Copy(h, conn)
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	fmt.Printf("received\t%d %x\n", n, h.Sum(nil))
	return nil
}

// numbers reads bytes that don't repeat soon.
type numbers struct{ n uint32 }

func (r *numbers) Read(p []byte) (int, error) {
	for i := range p {
		r.n = r.n*1664525 + 1013904223
		p[i] = byte(r.n >> 24)
	}
	return len(p), nil
}

// half sends something, ends its side, and only then reads.
func half(args []string) error {
	conn, err := dial(args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "question"); err != nil {
		return err
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	text, err := io.ReadAll(conn)
	fmt.Printf("%s\t%s\n", args[0], outcome(text, err))
	return nil
}

// linger sends something, waits for an answer and resets the connection.
func linger(args []string) error {
	conn, err := dial(args[0])
	if err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "question"); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return err
	}
	return errors.Join(conn.SetLinger(0), conn.Close())
}

// wait reads until the other side ends its data, sends something, and ends.
func wait(args []string) error {
	conn, err := dial(args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	fmt.Printf("%s\t%s\n", args[0], outcome(text, err))
	_, err = io.WriteString(conn, "later")
	return err
}

// many opens N connections at once, and reads from all of them: many HOST:PORT N.
func many(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	counts := map[string]int{}
	results := make(chan string)
	for range n {
		go func() {
			conn, err := dial(args[0])
			var text []byte
			if err == nil {
				text, err = io.ReadAll(conn)
				conn.Close()
			}
			what, _, _ := strings.Cut(outcome(text, err), " ")
			results <- what
		}()
	}
	for range n {
		counts[<-results]++
	}
	for what, count := range counts {
		fmt.Printf("%s\t%d\n", what, count)
	}
	return nil
}

// open opens files for writing.
func open(paths []string) error {
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			f.Close()
		}
		var errno syscall.Errno
		if errors.As(err, &errno) {
			err = errno
		}
		fmt.Printf("%s\t%v\n", path, err)
	}
	return nil
}

// shout sends N bytes and ends immediately: shout HOST:PORT N.
func shout(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	conn, err := dial(args[0])
	if err != nil {
		return err
	}
	_, err = conn.Write(make([]byte, n))
	return err
}

// as executes a program under another name: as PROGRAM NAME ARGUMENT….
func as(args []string) error { return syscall.Exec(args[0], args[1:], os.Environ()) }
