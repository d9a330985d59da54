package show

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Spinner is a line of a terminal that says what is being waited for. A nil Spinner does nothing.
type Spinner struct {
	w     io.Writer
	text  chan string
	quit  chan struct{}
	ended chan struct{}
	once  sync.Once
}

// spinnerDelay keeps the line off the screen for what is quick anyway.
const spinnerDelay = 200 * time.Millisecond

// NewSpinner returns a spinner, which draws nothing before the first Show. Stop ends it.
func NewSpinner(w io.Writer) *Spinner {
	s := &Spinner{w: w, text: make(chan string), quit: make(chan struct{}), ended: make(chan struct{})}
	go s.spin()
	return s
}

func (s *Spinner) spin() {
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

// Show changes the text of the line.
func (s *Spinner) Show(text string) {
	if s == nil {
		return
	}
	select {
	case s.text <- text:
	case <-s.ended:
	}
}

// Stop erases the line; nothing is drawn after it. It may be called several times.
func (s *Spinner) Stop() {
	if s == nil {
		return
	}
	s.once.Do(func() { close(s.quit) })
	<-s.ended
}
