// Command mkimage writes an image archive from a root file system: an OCI image layout in a tar, which docker load also
// reads. The same input gives the same bytes.
//
//	mkimage -name mayfly/shell:latest -rootfs rootfs.tar -out shell.tar
//	mkimage -name mayfly/busybox:latest -busybox /bin/busybox -out busybox.tar
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

type options struct {
	name, rootfs, busybox, out, arch string
	user                             string
	env, cmd, entrypoint, volumes    []string
	epoch                            int64
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var o options
	fs := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	fs.StringVar(&o.name, "name", "", "reference of the image, repository:tag")
	fs.StringVar(&o.rootfs, "rootfs", "", "tar of the root file system")
	fs.StringVar(&o.busybox, "busybox", "", "instead of -rootfs: a static busybox, for a root file system with only that")
	fs.StringVar(&o.out, "out", "", "archive to write")
	fs.StringVar(&o.arch, "arch", runtime.GOARCH, "architecture of the image")
	fs.Int64Var(&o.epoch, "epoch", 0, "time of creation, seconds since 1970")
	fs.Func("env", "NAME=value, may be given more than once", func(s string) error { o.env = append(o.env, s); return nil })
	fs.Func("cmd", "an argument of the command, may be given more than once", func(s string) error { o.cmd = append(o.cmd, s); return nil })
	fs.Func("entrypoint", "an argument before those of the command, may be given more than once", func(s string) error { o.entrypoint = append(o.entrypoint, s); return nil })
	fs.Func("volume", "a folder that outlives containers, may be given more than once", func(s string) error { o.volumes = append(o.volumes, s); return nil })
	fs.StringVar(&o.user, "user", "", "user of the command, as uid:gid")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.name == "" || o.out == "" || (o.rootfs == "") == (o.busybox == "") || fs.NArg() > 0 {
		return errors.New("want -name, -out and one of -rootfs and -busybox")
	}
	return build(o)
}

// build writes the archive to a temporary file and renames it, so that nobody reads an incomplete archive.
func build(o options) (err error) {
	work, err := os.MkdirTemp(filepath.Dir(o.out), ".mkimage-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	rootfs := o.rootfs
	if o.busybox != "" {
		rootfs = filepath.Join(work, "rootfs.tar")
		if err := writeBusybox(o.busybox, rootfs, time.Unix(o.epoch, 0)); err != nil {
			return err
		}
	}
	in, err := os.Open(rootfs)
	if err != nil {
		return err
	}
	defer in.Close()
	layer, err := compress(in, filepath.Join(work, "layer"))
	if err != nil {
		return fmt.Errorf("compress %s: %w", rootfs, err)
	}
	config := v1.Config{
		Env: o.env, Cmd: o.cmd, Entrypoint: o.entrypoint, User: o.user, Labels: map[string]string{"org.opencontainers.image.title": strings.SplitN(o.name, ":", 2)[0]},
	}
	for _, v := range o.volumes {
		if config.Volumes == nil {
			config.Volumes = map[string]struct{}{}
		}
		config.Volumes[v] = struct{}{}
	}
	tmp := filepath.Join(work, "image.tar")
	if err := writeArchive(tmp, o, config, layer); err != nil {
		return fmt.Errorf("write %s: %w", o.out, err)
	}
	if err := os.Rename(tmp, o.out); err != nil {
		return err
	}
	return nil
}

// counter counts the bytes that are written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
