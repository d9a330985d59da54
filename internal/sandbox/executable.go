package sandbox

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// errNotExecuted says that a file is on a mount that nothing is executed from.
var errNotExecuted = errors.New("mounted noexec")

// openExecutable opens a file of the sandbox before anything is mounted there,
// and says where its mode is set; it returns no file where only the sandbox
// will know which it is.
func (r *rootfs) openExecutable(at string) (f *os.File, where string, err error) {
	if !r.onToolMount(at) {
		host, err := r.inRoot(at)
		if err != nil {
			return nil, "", err
		}
		if at = strings.TrimPrefix(host, r.root); !r.onToolMount(at) {
			f, err = os.OpenFile(host, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
			return f, "it in the image", err
		}
	}
	f, err = r.openMounted(at)
	return f, "the file that is mounted there", err
}

// openMounted opens a file of the innermost of the tool's volumes that it is in.
func (r *rootfs) openMounted(at string) (*os.File, error) {
	var in specs.Mount
	for _, m := range r.sources {
		if within(at, m.Destination) && len(m.Destination) > len(in.Destination) {
			in = m
		}
	}
	inner := func(target string) bool { return target != in.Destination && within(target, in.Destination) }
	switch {
	case in.Source == "", // one of Mayfly's own, as a mocked command is
		slices.ContainsFunc(r.targets, inner): // which a link in this one may lead to
		return nil, nil
	case slices.Contains(in.Options, "noexec"):
		return nil, errNotExecuted
	case at == in.Destination:
		return os.OpenFile(in.Source, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	}
	if info, err := os.Lstat(in.Source); err == nil && !info.IsDir() {
		return nil, unix.ENOTDIR
	}
	root, err := os.OpenRoot(in.Source)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(strings.TrimPrefix(at, in.Destination+"/"), os.O_RDONLY|unix.O_NONBLOCK, 0)
	var errno unix.Errno
	if err != nil && !errors.As(err, &errno) {
		return nil, nil // a link leads out of the volume (os.Root), to what is there in the sandbox
	}
	return f, err
}
