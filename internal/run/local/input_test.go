package local

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

// What an attempt doesn't read is there for the next one, also what is typed after the first has ended.
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
			t.Errorf("%q, %v; want %q", got, err, line)
		}
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		// As the copy to a program that has ended: it is in a read.
		ended := make(chan error)
		go func() {
			_, err := r.Read(make([]byte, 10))
			ended <- err
		}()
		end()
		if err := <-ended; err == nil {
			t.Error("an attempt that has ended reads on")
		}
	}
	r, end := in.next()
	defer end()
	if err := typed.Close(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v at the end of the input", rest, err)
	}
	last, end := in.next()
	defer end()
	if rest, err := io.ReadAll(last); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v after the end of the input", rest, err)
	}
}

// The rest of what an attempt didn't read is the next one's.
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
		t.Errorf("%q, %v; want what the first left", rest, err)
	}
}
