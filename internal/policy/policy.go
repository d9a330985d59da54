// Package policy is what the operator of a host allows tools: defaults, maxima, networks, capabilities, images. Package shape reads a
// [Policy] from a file, as it reads tools. A policy is applied to a tool before anything of the tool is fetched.
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

// DefaultPath is the path of a host's policy.
const DefaultPath = "/etc/mayfly/policy.yaml"

// Policy is what the operator of a host allows. It sets defaults, and refuses
// tools that exceed it. The only thing that it can widen is the list of
// capabilities. A nil Policy stands for a host without a policy.
//
//	defaults: {memory: 256Mi, timeout: 2m}   # for tools that don't set these
//	max: {cpu: 2, memory: 2Gi, disk: 4Gi, pids: 512, nofile: 4096, bandwidth: 100Mbps, timeout: 30m}
//	networks: [none, list]               # the modes that tools may use
//	egress: [{host: "*.example.com"}]    # a tool's egress rules must be inside these
//	capabilities: [root, NET_BIND_SERVICE]   # replaces the built-in list, which is this one
//	runtimes: [default, gvisor]
//	images: ["registry.example.com/tools/*"]
//	read_only: true                      # refuse read_only: false
//	secrets: {backup: [db], "*": [ca-*]} # which tools may use which secrets
type Policy struct {
	path          string
	defaults, max limits
	modes         []string // networks; like the other lists, nil if the file doesn't set it
	egress        *bound   // nil if the file doesn't set it
	// capabilities have names of capabilities(7), with or without CAP_, or root.
	capabilities, runtimes, images []string
	readOnly                       bool
	atOnce                         atOnce
	secrets                        map[string][]string // patterns of secrets by patterns of tools
	given                          []string            // secrets that the rules aren't about
	at                             map[string]shape.Position

	of    string    // whose it is, if it isn't this host's
	tool  *string   // the name of the tool, if it isn't the one in its definition
	parts []*Policy // if it is several policies at once; the other fields are empty then
}

// limits are the limits of a tool. Zero means that a limit isn't set.
type limits struct {
	resources tool.Resources
	timeout   time.Duration
	network   network.Mode
}

// builtinCapabilities are the capabilities that a tool may ask for if no policy
// sets them. In the user namespace of a run they apply only to the run's files
// and processes.
var builtinCapabilities = append(slices.Clone(tool.RootCapabilities), "NET_BIND_SERVICE")

// maxPolicyBytes is the largest size of the file.
const maxPolicyBytes = 1 << 20

// Find reads the policy at path. It returns nil if the file doesn't exist. A link whose target is missing is an error, since the
// operator wants a policy.
func Find(path string) (*Policy, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // a nil Policy is a valid one
	}
	return Load(path)
}

// Load reads the policy at path. A missing file is an error.
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
	Policy string // the policy's file, or a place in it
	Of     string // whose policy it is, such as "the project a"; empty for this host
	// Missing is the key of What if the tool doesn't set it, so that What is the default. At is then the place of the tool.
	Missing string
	At      shape.Position
}

// Error says what the policy refuses, what it allows, and what to do.
func (e *DeniedError) Error() string { return e.Refused() + "; " + e.Remedy() }

// Refused says what the policy refuses, and what it allows.
func (e *DeniedError) Refused() string {
	of, what := cmp.Or(e.Of, "this host"), e.What
	if e.Missing != "" {
		what = fmt.Sprintf("%s, the default of the tool (%s), which doesn't set %s", e.What, e.At, e.Missing)
	}
	return fmt.Sprintf("the policy of %s refuses %s: %s (%s)", of, what, e.Allows, e.Policy)
}

// Remedy says what to do about it.
func (e *DeniedError) Remedy() string {
	ask := "ask for what is allowed"
	if e.Missing != "" {
		ask = fmt.Sprintf("set %s in the tool to what is allowed", e.Missing)
	}
	operator := "the host's operator"
	if e.Of != "" {
		operator = "the server's operator"
	}
	return ask + ", or ask " + operator + " to change the policy"
}

// Path returns the path of the policy's file.
func (p *Policy) Path() string { return p.path }

// Apply returns the tool as this host runs it. It sets what the tool doesn't set,
// from the policy's and then from the built-in defaults, and checks the result.
// The error is a *[DeniedError], or that of an invalid image reference.
func (p *Policy) Apply(t *tool.Tool) (*tool.Tool, error) {
	out := p.Filled(t)
	for _, one := range p.all() {
		if err := one.check(out, t); err != nil {
			var denied *DeniedError
			if errors.As(err, &denied) && one != nil {
				denied.Of = one.of
			}
			return nil, err
		}
	}
	return out, nil
}

// Filled is Apply without the check.
func (p *Policy) Filled(t *tool.Tool) *tool.Tool {
	filled := *t
	for i, one := range p.all() {
		switch {
		case one == nil:
		case i == 0:
			one.fill(&filled)
		default:
			also := *t
			one.fill(&also)
			narrow(&filled, &also)
		}
	}
	p.clamp(&filled, t)
	return filled.Defaults()
}

func (p *Policy) fill(t *tool.Tool) {
	builtin := (&tool.Tool{}).Defaults()
	// A maximum below the built-in default replaces it.
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
	case p.egress != nil: // egress rules also replace the built-in default
		t.Network = &network.Policy{Mode: network.ModeList, Egress: slices.Clone(p.egress.rules)}
	}
}

// check refuses what exceeds the policy. t has the defaults; written is the tool without them.
func (p *Policy) check(t, written *tool.Tool) error {
	capabilities, where := builtinCapabilities, "the built-in policy; "+DefaultPath+" can allow more"
	if p != nil && p.capabilities != nil {
		capabilities, where = p.capabilities, p.place("capabilities")
	}
	for _, c := range t.Security.Kept() {
		if !slices.ContainsFunc(capabilities, func(allowed string) bool {
			return strings.TrimPrefix(allowed, "CAP_") == c || allowed == tool.RootShort && slices.Contains(tool.RootCapabilities, c)
		}) {
			return &DeniedError{What: "capability " + c, Allows: allowsOnly(capabilities), Policy: where}
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
		e := &DeniedError{What: most.name() + " " + asks[i].text, Allows: "at most " + most.text + " is allowed", Policy: p.place("max." + most.name())}
		if said[i].value == 0 {
			e.Missing, e.At = most.key, written.Source.Position
		}
		return e
	}
	return p.checkKinds(t, written)
}

func (p *Policy) checkKinds(t, written *tool.Tool) error {
	if list := p.modes; list != nil && !slices.Contains(list, string(t.Network.Mode)) {
		e := &DeniedError{What: "network " + string(t.Network.Mode), Allows: allowsOnly(list), Policy: p.place("networks")}
		if written.Network == nil {
			e.Missing, e.At = "network", written.Source.Position
		}
		return e
	}
	if err := p.checkEgress(t, written); err != nil {
		return err
	}
	if list := p.runtimes; list != nil && !slices.Contains(list, t.Security.Runtime) {
		e := &DeniedError{What: "runtime " + t.Security.Runtime, Allows: allowsOnly(list), Policy: p.place("runtimes")}
		if written.Security.Runtime == "" {
			e.Missing, e.At = "security.runtime", written.Source.Position
		}
		return e
	}
	if p.readOnly && t.Security.ReadOnly != nil && !*t.Security.ReadOnly {
		return &DeniedError{What: "read_only: false", Allows: "the image's file system must stay read-only", Policy: p.place("read_only")}
	}
	if err := p.checkSecrets(t); err != nil {
		return err
	}
	return p.checkImage(t.Image)
}

func (p *Policy) checkImage(ref string) error {
	if p.images == nil || ref == "" {
		return nil
	}
	// A pattern may have another form than the reference, so compare it with all forms.
	names, err := image.Spellings(ref)
	if err != nil {
		return err
	}
	for _, pattern := range p.images {
		for _, name := range names {
			if strings.Contains(name, "@") && namesTags(pattern) {
				continue // the digest decides what is pulled; the tag isn't checked
			}
			if ok, _ := globMatch(pattern, name); ok {
				return nil
			}
		}
	}
	return &DeniedError{What: "image " + ref, Allows: allowsOnly(p.images), Policy: p.place("images")}
}

// namesTags reports whether a pattern restricts the tag.
func namesTags(pattern string) bool {
	base := pattern[strings.LastIndexByte(pattern, '/')+1:]
	_, tag, found := strings.Cut(base, ":")
	return found && tag != "*" && !strings.Contains(tag, "@")
}

// globMatch reports whether a name matches a pattern, in which "*" stands for any
// characters except "/", and a final "/*" for everything below.
func globMatch(pattern, name string) (bool, error) {
	if below, ok := strings.CutSuffix(pattern, "/*"); ok && strings.HasPrefix(name, below+"/") {
		return true, nil
	}
	return path.Match(pattern, name)
}
