package tool

import (
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// Set sets one limit from its text, as "memory" and "256Mi" would in a definition. The error has no position.
func (r *Resources) Set(name, value string) error {
	d := &decoder{}
	v, _ := resourcesShape().read(d, &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{plain(name), plain(value)}}, "resources")
	if err := d.first(); err != nil {
		return err
	}
	for _, l := range Limits() {
		if set := *l.Of(&v); set != 0 {
			*l.Of(r) = set
		}
	}
	return nil
}

// SetTimeout sets the time-out from its text, such as 90s.
func (t *Tool) SetTimeout(value string) error {
	d := &decoder{}
	v, _ := timeoutShape().read(d, plain(value), "timeout")
	if err := d.first(); err != nil {
		return err
	}
	t.Timeout = v
	return nil
}

// SetUser sets who the tool runs as, such as 1000:1000.
func (t *Tool) SetUser(value string) error {
	d := &decoder{}
	v, _ := loose(checkUser).read(d, plain(value), "user")
	if err := d.first(); err != nil {
		return err
	}
	t.Security.User = v
	return nil
}

// SetNetwork sets what may be reached: none, public or open.
func (t *Tool) SetNetwork(value string) error {
	d := &decoder{}
	v, _ := networkShape().read(d, plain(value), "network")
	if err := d.first(); err != nil {
		return err
	}
	t.Network, t.EgressAt = v.policy, v.at
	return nil
}

// SetTimeout sets the time-out of all steps together from its text, such as 90s.
func (w *Workflow) SetTimeout(value string) error {
	t := &Tool{}
	if err := t.SetTimeout(value); err != nil {
		return err
	}
	w.Timeout = t.Timeout
	return nil
}

func timeoutShape() shape[time.Duration] { return duration(100*time.Millisecond, 720*time.Hour) }

// plain is a scalar as YAML reads it without quotes.
func plain(value string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	n.Tag = n.ShortTag()
	return n
}

// first is the first problem found, without its position.
func (d *decoder) first() error {
	if len(d.problems) == 0 {
		return nil
	}
	p := d.problems[0]
	if p.Hint != "" {
		return fmt.Errorf("%s; %s", p.Text, p.Hint)
	}
	return errors.New(p.Text)
}
