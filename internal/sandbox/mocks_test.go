package sandbox

import (
	"slices"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
)

func TestEnvironmentWithMocks(t *testing.T) {
	commands, trust := &engine.Mocks{Commands: []string{"x"}}, &engine.Mocks{Authority: []byte("x")}
	for name, c := range map[string]struct {
		mocks     *engine.Mocks
		env, want []string
	}{
		"no mocks":        {nil, []string{"PATH=/bin", "SSL_CERT_FILE=/own"}, []string{"PATH=/bin", "SSL_CERT_FILE=/own"}},
		"empty mocks":     {&engine.Mocks{}, []string{"PATH=/bin", "SSL_CERT_FILE=/own"}, []string{"PATH=/bin", "SSL_CERT_FILE=/own"}},
		"commands":        {commands, []string{"A=b", "PATH=/bin"}, []string{"A=b", "PATH=/run/mayfly/commands:/bin"}},
		"an empty PATH":   {commands, []string{"PATH="}, []string{"PATH=/run/mayfly/commands"}},
		"trust":           {trust, []string{"A=b"}, append([]string{"A=b"}, trustVariables...)},
		"the tool's own":  {trust, []string{"SSL_CERT_FILE=/own", "A=b", "NODE_EXTRA_CA_CERTS="}, append([]string{"A=b"}, trustVariables...)},
		"a name like one": {trust, []string{"SSL_CERT_FILES=/own"}, append([]string{"SSL_CERT_FILES=/own"}, trustVariables...)},
	} {
		if got := withMocks(slices.Clone(c.env), c.mocks); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
