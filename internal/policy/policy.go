// Package policy is what the operator of a host allows its tools: defaults, maxima, networks, capabilities, images. A
// [Policy] is read from a file by package shape, as tools are, and applied to a tool before anything of it is fetched.
package policy

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mayfly-run/mayfly/internal/document"
	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/tool"
)

// DefaultPath is the operator's policy of a host.
const DefaultPath = "/etc/mayfly/policy.yaml"

// Policy is what the operator of a host allows. It sets the defaults and refuses
// what exceeds it; it can widen only the list of capabilities. A nil Policy is a
// host without one.
//
//	defaults: {memory: 256Mi, timeout: 2m}   # where a tool says nothing
//	max: {cpu: 2, memory: 2Gi, disk: 4Gi, pids: 512, nofile: 4096, bandwidth: 100Mbps, timeout: 30m}
//	networks: [none, list]               # the modes that tools may use
//	egress: [{host: "*.example.com"}]    # a tool's egress rules have to be inside of these
//	capabilities: [root, NET_BIND_SERVICE]   # instead of the built-in list, which is this one
//	runtimes: [default, gvisor]
//	images: ["registry.example.com/tools/*"]
//	read_only: true                      # refuse read_only: false
type Policy struct {
	path          string
	defaults, max limits
	modes         []string // networks; a list that the file doesn't have is nil
	egress        *bound   // nil where the file has none
	// capabilities are those of capabilities(7), with or without CAP_, and root.
	capabilities, runtimes, images []string
	readOnly                       bool
}

// limits are values for what a tool can ask; zero means not said.
type limits struct {
	resources tool.Resources
	timeout   time.Duration
	network   network.Mode
}

// builtinCapabilities are those that a tool may ask for when no policy says.
// In the run's own user namespace they reach its own files and processes only.
var builtinCapabilities = append(slices.Clone(tool.RootCapabilities), "NET_BIND_SERVICE")

// maxPolicyBytes bounds the file.
const maxPolicyBytes = 1 << 20

// Find reads the policy at path; a host without the file has none. A link that leads nowhere is an error: the
// operator means to have a policy.
func Find(path string) (*Policy, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // a nil Policy is a valid one
	}
	return Load(path)
}

// Load reads the policy at path. The file has to be there.
func Load(path string) (*Policy, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	defer f.Close()
	data, err := document.Read(f, maxPolicyBytes)
	if errors.Is(err, document.ErrTooLarge) {
		return nil, fmt.Errorf("read the policy %s: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err) // which names the path
	}
	return parse(path, data)
}

// DeniedError says that the operator's policy refuses a run.
type DeniedError struct {
	What   string // what the tool asks for
	Allows string // what the policy allows
	Policy string // the policy's file, or the place in it
	// Missing is the key of What where the tool doesn't have it and What is the default; At is the tool then.
	Missing string
	At      shape.Position
}

// Error says what is refused, what is allowed, and what to do.
func (e *DeniedError) Error() string {
	if e.Missing != "" {
		return fmt.Sprintf("the policy of this host refuses %s, the default of the tool (%s), which doesn't set %s: %s (%s); write %s in the tool, with what is allowed, or have the host's operator change the policy",
			e.What, e.At, e.Missing, e.Allows, e.Policy, e.Missing)
	}
	return fmt.Sprintf("the policy of this host refuses %s: %s (%s); ask for no more in the tool, or have the host's operator change the policy", e.What, e.Allows, e.Policy)
}

// Path is the policy's file.
func (p *Policy) Path() string { return p.path }

// Apply is the tool as this host runs it: what it doesn't say is filled in from
// the policy and then from the built-in defaults, and what it says is checked.
func (p *Policy) Apply(t *tool.Tool) (*tool.Tool, error) {
	out := p.filled(t)
	if err := p.check(out, t); err != nil {
		return nil, err
	}
	return out, nil
}

func (p *Policy) filled(t *tool.Tool) *tool.Tool {
	filled := *t
	if p != nil {
		p.fill(&filled)
	}
	return filled.Defaults()
}

func (p *Policy) fill(t *tool.Tool) {
	builtin := (&tool.Tool{}).Defaults()
	// A maximum below the built-in default is the default then.
	lower := func(most, builtin int64) int64 {
		if builtin == 0 || most < builtin {
			return most
		}
		return 0
	}
	for _, l := range tool.Limits() {
		own, most := l.Of(&t.Resources), *l.Of(&p.max.resources)
		*own = cmp.Or(*own, *l.Of(&p.defaults.resources))
		if l.Hard != nil {
			*l.Hard(&t.Resources) = lower(most, engine.MostOpenFiles)
		} else {
			*own = cmp.Or(*own, lower(most, *l.Of(&builtin.Resources)))
		}
	}
	t.Timeout = cmp.Or(t.Timeout, p.defaults.timeout, time.Duration(lower(int64(p.max.timeout), int64(builtin.Timeout))))
	switch {
	case t.Network != nil:
	case p.defaults.network != "":
		t.Network = &network.Policy{Mode: p.defaults.network}
	case p.egress != nil: // a bound below the built-in default is the default, too
		t.Network = &network.Policy{Mode: network.ModeList, Egress: slices.Clone(p.egress.rules)}
	}
}

// check refuses what exceeds the policy. t is filled in, written is the tool as it was before.
func (p *Policy) check(t, written *tool.Tool) error {
	capabilities, where := builtinCapabilities, "the built-in policy; "+DefaultPath+" can allow more"
	if p != nil && p.capabilities != nil {
		capabilities, where = p.capabilities, p.path
	}
	for _, c := range t.Security.Kept() {
		if !slices.ContainsFunc(capabilities, func(allowed string) bool {
			return strings.TrimPrefix(allowed, "CAP_") == c || allowed == tool.RootShort && slices.Contains(tool.RootCapabilities, c)
		}) {
			return &DeniedError{What: "capability " + c, Allows: "allowed are " + listOr(capabilities), Policy: where}
		}
	}
	if p == nil {
		return nil
	}
	asks, said := limitsOf(t).numbers(), limitsOf(written).numbers()
	for i, most := range p.max.numbers() {
		if most.value == 0 || asks[i].value <= most.value {
			continue
		}
		e := &DeniedError{What: most.name() + " " + asks[i].text, Allows: "at most " + most.text + " is allowed", Policy: p.path}
		if said[i].value == 0 {
			e.Missing, e.At = most.key, written.Source.Position
		}
		return e
	}
	return p.checkKinds(t, written)
}

func (p *Policy) checkKinds(t, written *tool.Tool) error {
	if list := p.modes; list != nil && !slices.Contains(list, string(t.Network.Mode)) {
		e := &DeniedError{What: "network " + string(t.Network.Mode), Allows: "allowed are " + listOr(list), Policy: p.path}
		if written.Network == nil {
			e.Missing, e.At = "network", written.Source.Position
		}
		return e
	}
	if err := p.checkEgress(t, written); err != nil {
		return err
	}
	if list := p.runtimes; list != nil && !slices.Contains(list, t.Security.Runtime) {
		e := &DeniedError{What: "runtime " + t.Security.Runtime, Allows: "allowed are " + listOr(list), Policy: p.path}
		if written.Security.Runtime == "" {
			e.Missing, e.At = "security.runtime", written.Source.Position
		}
		return e
	}
	if p.readOnly && t.Security.ReadOnly != nil && !*t.Security.ReadOnly {
		return &DeniedError{What: "read_only: false", Allows: "the image's file system has to stay read-only", Policy: p.path}
	}
	return p.checkImage(t.Image)
}

func (p *Policy) checkImage(ref string) error {
	if p.images == nil || ref == "" {
		return nil
	}
	// The pattern may be in another form than the reference, so it is compared with all of them.
	names, err := image.Spellings(ref)
	if err != nil {
		return err
	}
	for _, pattern := range p.images {
		for _, name := range names {
			if strings.Contains(name, "@") && namesTags(pattern) {
				continue // the digest is what is pulled; nobody compares a tag beside it
			}
			if ok, _ := globMatch(pattern, name); ok {
				return nil
			}
		}
	}
	return &DeniedError{What: "image " + ref, Allows: "allowed are " + listOr(p.images), Policy: p.path}
}

// namesTags says whether a pattern is about tags: of some, not of any.
func namesTags(pattern string) bool {
	base := pattern[strings.LastIndexByte(pattern, '/')+1:]
	_, tag, found := strings.Cut(base, ":")
	return found && tag != "*" && !strings.Contains(tag, "@")
}

// globMatch matches with "*" for any characters but "/", and a final "/*" for
// everything below.
func globMatch(pattern, name string) (bool, error) {
	if below, ok := strings.CutSuffix(pattern, "/*"); ok && strings.HasPrefix(name, below+"/") {
		return true, nil
	}
	return path.Match(pattern, name)
}
