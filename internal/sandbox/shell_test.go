package sandbox

import (
	"errors"
	"testing"
)

// containerThatStays is a container whose cgroup can't be removed.
type containerThatStays struct{ container }

func (containerThatStays) destroy() error { return errors.New("the cgroup is busy") }

// containerThatGoes is a container whose cgroup can be removed.
type containerThatGoes struct{ container }

func (containerThatGoes) destroy() error { return nil }

// TestRemoveContainerCountsOnce: a shell that couldn't start is asked for
// again, and the memory of the sandbox's files counts only once.
func TestRemoveContainerCountsOnce(t *testing.T) {
	s := &supervisor{
		accounts:  accounts{unified: true, paths: map[string]string{"": fixture(t, map[string]string{"memory.stat": "shmem 1000\n"})}},
		container: containerThatStays{},
	}
	if err := s.removeContainer(); err == nil || s.held != 0 {
		t.Errorf("got %v, and %d bytes are counted, want an error and none", err, s.held)
	}
	s.container = containerThatGoes{}
	if err := s.removeContainer(); err != nil || s.held != 1000 {
		t.Errorf("got %v, and %d bytes are counted, want 1000", err, s.held)
	}
}
