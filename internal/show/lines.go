package show

import (
	"bytes"

	"github.com/mayfly-run/mayfly/internal/run"
)

// lines puts pieces of what steps print together to whole lines.
type lines struct {
	open map[lineKey][]byte
}

type lineKey struct{ step, stream string }

// maxLine is the length in bytes from which a line without an end is split.
const maxLine = 64 << 10

// add calls f with each line that a piece ends, without its line break.
func (l *lines) add(step string, log *run.Log, f func(line []byte)) {
	if l.open == nil {
		l.open = map[lineKey][]byte{}
	}
	key := lineKey{step, log.Stream}
	rest := append(l.open[key], log.Bytes()...)
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 && len(rest) < maxLine {
			break
		}
		if i < 0 {
			f(rest)
			rest = nil
			break
		}
		f(rest[:i])
		rest = rest[i+1:]
	}
	if len(rest) == 0 {
		delete(l.open, key)
		return
	}
	l.open[key] = append([]byte(nil), rest...)
}

// end calls f with the unfinished lines of a step.
func (l *lines) end(step string, f func(stream string, line []byte)) {
	for _, stream := range []string{"stdout", "stderr"} {
		key := lineKey{step, stream}
		if rest := l.open[key]; len(rest) > 0 {
			f(stream, rest)
			delete(l.open, key)
		}
	}
}
