package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// spinner is one line of a terminal that says what is being waited for. A nil
// one does nothing.
type spinner struct {
	w     io.Writer
	text  chan string
	quit  chan struct{}
	ended chan struct{}
	once  sync.Once
}

// spinnerDelay keeps the line off the screen for what is quick anyway.
const spinnerDelay = 200 * time.Millisecond

func newSpinner(w io.Writer) *spinner {
	s := &spinner{w: w, text: make(chan string), quit: make(chan struct{}), ended: make(chan struct{})}
	go s.spin()
	return s
}

func (s *spinner) spin() {
	defer close(s.ended)
	frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	begin, text, drawn := time.Now(), "", false
	for i := 0; ; i++ {
		select {
		case <-s.quit:
			if drawn {
				fmt.Fprint(s.w, "\r\x1b[K")
			}
			return
		case text = <-s.text:
		case <-tick.C:
		}
		if time.Since(begin) > spinnerDelay && text != "" {
			drawn = true
			fmt.Fprintf(s.w, "\r\x1b[K%c %s", frames[i%len(frames)], strings.TrimSpace(text))
		}
	}
}

func (s *spinner) show(text string) {
	if s == nil {
		return
	}
	select {
	case s.text <- text:
	case <-s.ended:
	}
}

// stop wipes the line; nothing is drawn after it.
func (s *spinner) stop() {
	if s == nil {
		return
	}
	s.once.Do(func() { close(s.quit) })
	<-s.ended
}
