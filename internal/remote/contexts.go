// Package remote is a server as a command uses it: which one (contexts), tools that are sent there, and runs that are followed.
// It is to a server what package host is to this machine.
package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/run"
)

// Context is a server with what is needed to use it.
type Context struct {
	Name        string `json:"name"`
	Server      string `json:"server"`
	Token       string `json:"token"`
	Fingerprint string `json:"fingerprint,omitempty"` // of the server's certificate, if no authority vouches for it
	Project     string `json:"project"`
}

// Contexts are the servers that a user has logged in to, as their file has them.
type Contexts struct {
	// Current is where commands go that don't say it; empty for this machine.
	Current  string    `json:"current,omitempty"`
	Contexts []Context `json:"contexts"`

	path string
}

// Local is the name for this machine, where a context's name is expected.
const Local = "local"

// maxContexts bounds the file.
const maxContexts = 1 << 20

// LoadContexts reads the user's contexts: $MAYFLY_HOME/contexts.json, or mayfly/contexts.json in the user's folder for
// configuration.
func LoadContexts() (*Contexts, error) {
	dir := os.Getenv("MAYFLY_HOME")
	if dir == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("find the folder for configuration: %w; set MAYFLY_HOME", err)
		}
		dir = filepath.Join(config, "mayfly")
	}
	c := &Contexts{path: filepath.Join(dir, "contexts.json")}
	f, err := os.Open(c.path)
	_, statErr := os.Stat(c.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(statErr, fs.ErrPermission) {
		return c, nil // in the second case the folder is another user's, whose contexts aren't this user's
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		return nil, run.NewError(run.CodePermissionDenied, fmt.Sprintf("others may read %s, which has tokens: chmod 600 %s, and have the tokens replaced if others use this machine", c.path, c.path))
	}
	data, err := document.Read(f, maxContexts)
	if err == nil {
		err = json.Unmarshal(data, c)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w; correct it, or remove it and log in again", c.path, err)
	}
	return c, nil
}

// Save replaces the file.
func (c *Contexts) Save() error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(c.path, append(data, '\n'), atomicfile.Options{Durable: true})
}

// Find returns the context with a name, or nil.
func (c *Contexts) Find(name string) *Context {
	i := slices.IndexFunc(c.Contexts, func(one Context) bool { return one.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Contexts[i]
}

// Put adds a context, or replaces the one with its name.
func (c *Contexts) Put(one Context) {
	if have := c.Find(one.Name); have != nil {
		*have = one
		return
	}
	c.Contexts = append(c.Contexts, one)
}

// Where says which server a command line names.
type Where struct {
	Server, Context string // --server and --context
	Project         string // --project
}

// Choose returns the context that a command goes to, or nil for this machine: by the command line, then MAYFLY_SERVER and
// MAYFLY_CONTEXT, and then the current context. MAYFLY_TOKEN comes before a context's token.
func (c *Contexts) Choose(w Where) (*Context, error) {
	var found *Context
	var err error
	server, name := w.Server, w.Context
	if server == "" && name == "" {
		server, name = os.Getenv("MAYFLY_SERVER"), os.Getenv("MAYFLY_CONTEXT")
		if server != "" {
			name = ""
		}
	}
	switch {
	case server != "":
		found, err = c.ofServer(server)
	case name != "":
		found, err = c.named(name)
	default:
		found, err = c.named(c.Current)
	}
	if found == nil || err != nil {
		return nil, err
	}
	one := *found
	if token := os.Getenv("MAYFLY_TOKEN"); token != "" {
		one.Token = token
	}
	if w.Project != "" {
		one.Project = w.Project
	}
	return &one, nil
}

func (c *Contexts) named(name string) (*Context, error) {
	if name == "" || name == Local {
		return nil, nil //nolint:nilnil // this machine
	}
	if found := c.Find(name); found != nil {
		return found, nil
	}
	return nil, run.NewError(run.CodeInvalidUsage, fmt.Sprintf("there is no context %q; look at them with: mayfly context ls", name))
}

// ofServer returns the context of a server's address.
func (c *Contexts) ofServer(server string) (*Context, error) {
	if server == Local {
		return nil, nil //nolint:nilnil // this machine
	}
	i := slices.IndexFunc(c.Contexts, func(one Context) bool { return one.Server == server })
	switch {
	case i >= 0:
		return &c.Contexts[i], nil
	case os.Getenv("MAYFLY_TOKEN") != "":
		return &Context{Name: server, Server: server, Project: "default"}, nil
	}
	return nil, run.NewError(run.CodeUnauthenticated, fmt.Sprintf("there is no token for %s; log in: mayfly login %s --token-file FILE", server, server))
}
