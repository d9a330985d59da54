package tool

import (
	"time"

	"github.com/mayfly-run/mayfly/internal/shape"
	"go.yaml.in/yaml/v3"
)

// Set sets one limit from its text, for example "memory" from "256Mi", as in a definition. The error has no position.
func (r *Resources) Set(name, value string) error {
	v, err := shape.Decode(resourcesShape(), &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{shape.Plain(name), shape.Plain(value)}}, "resources")
	if err != nil {
		return err
	}
	for _, l := range Limits() {
		if set := *l.Of(&v); set != 0 {
			*l.Of(r) = set
		}
	}
	return nil
}

// SetTimeout sets the timeout from its text, such as 90s.
func (t *Tool) SetTimeout(value string) error {
	v, err := shape.Decode(TimeoutShape(), shape.Plain(value), "timeout")
	if err != nil {
		return err
	}
	t.Timeout = v
	return nil
}

// SetUser sets who the tool runs as, such as 1000:1000.
func (t *Tool) SetUser(value string) error {
	v, err := shape.Decode(shape.Loose(checkUser), shape.Plain(value), "user")
	if err != nil {
		return err
	}
	t.Security.User = v
	return nil
}

// SetNetwork sets what the tool may reach: none, public or open.
func (t *Tool) SetNetwork(value string) error {
	v, err := shape.Decode(networkShape(), shape.Plain(value), "network")
	if err != nil {
		return err
	}
	t.Network, t.EgressAt = v.Policy, v.At
	return nil
}

// TimeoutShape returns the shape of a run's timeout.
func TimeoutShape() shape.Shape[time.Duration] {
	return shape.Duration(100*time.Millisecond, 720*time.Hour)
}
