package local

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

// TestInputOfAttempts: an attempt gets what is typed while it runs, even if an earlier attempt ended in a read.
func TestInputOfAttempts(t *testing.T) {
	keyboard, typed := io.Pipe()
	in := newInput(keyboard)
	defer in.close()
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		r, end := in.next()
		waiting := make(chan error)
		go func() {
			_, err := io.WriteString(typed, line)
			waiting <- err
		}()
		got, err := bufio.NewReader(r).ReadString('\n')
		if err != nil || got != line {
			t.Errorf("got %q, %v; want %q", got, err, line)
		}
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		// Like the copy to a program that has ended, this is in a read.
		ended := make(chan error)
		go func() {
			_, err := r.Read(make([]byte, 10))
			ended <- err
		}()
		end()
		if err := <-ended; err == nil {
			t.Error("an attempt that has ended can still read")
		}
	}
	r, end := in.next()
	defer end()
	if err := typed.Close(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v at the end of the input, want nothing", rest, err)
	}
	last, end := in.next()
	defer end()
	if rest, err := io.ReadAll(last); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v after the end of the input, want nothing", rest, err)
	}
}

// TestInputIsHandedOn: the next attempt gets what an attempt didn't read.
func TestInputIsHandedOn(t *testing.T) {
	in := newInput(strings.NewReader("0123456789"))
	first, end := in.next()
	if n, err := io.ReadFull(first, make([]byte, 4)); err != nil || n != 4 {
		t.Fatal(n, err)
	}
	end()
	second, end := in.next()
	defer end()
	if rest, err := io.ReadAll(second); err != nil || string(rest) != "456789" {
		t.Errorf("got %q, %v; want what the first attempt left", rest, err)
	}
}
