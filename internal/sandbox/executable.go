package sandbox

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// errNotExecuted says that a file is on a mount with the option noexec.
var errNotExecuted = errors.New("mounted noexec")

// openExecutable opens a file of the sandbox before the container mounts anything.
// where names the file for a remedy that changes its mode. It returns a nil file
// if the file is known only inside the sandbox.
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

// openMounted opens a file in the innermost of the tool's volumes that contain it.
func (r *rootfs) openMounted(at string) (*os.File, error) {
	var in specs.Mount
	for _, m := range r.sources {
		if within(at, m.Destination) && len(m.Destination) > len(in.Destination) {
			in = m
		}
	}
	inner := func(target string) bool { return target != in.Destination && within(target, in.Destination) }
	switch {
	case in.Source == "", // one of Mayfly's own mounts, such as a mocked command
		slices.ContainsFunc(r.targets, inner): // a link may lead to another mount inside this one
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
		return nil, nil // a link leads out of the volume (os.Root), to another file of the sandbox
	}
	return f, err
}
