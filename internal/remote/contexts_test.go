package remote

import (
	"os"
	"path/filepath"
	"testing"
)

// TestChoose checks where a command goes: what the command line says comes before the environment, and that before the current context.
func TestChoose(t *testing.T) {
	all := &Contexts{Current: "current", Contexts: []Context{
		{Name: "current", Server: "https://current", Token: "c", Project: "p"},
		{Name: "named", Server: "https://named", Token: "n", Project: "p"},
		{Name: "given", Server: "https://given", Token: "g", Project: "p"},
	}}
	const none, unknown = "this machine", `there is no context "x"; look at them with: mayfly context ls`
	for name, c := range map[string]struct {
		where            Where
		server, context  string // MAYFLY_SERVER and MAYFLY_CONTEXT
		token, want, has string
	}{
		"the current context":               {want: "https://current", has: "c"},
		"MAYFLY_CONTEXT":                    {context: "named", want: "https://named", has: "n"},
		"MAYFLY_SERVER":                     {server: "https://named", want: "https://named", has: "n"},
		"MAYFLY_SERVER and MAYFLY_CONTEXT":  {server: "https://named", context: "given", want: "https://named", has: "n"},
		"MAYFLY_CONTEXT is this machine":    {context: "local", want: none},
		"MAYFLY_SERVER is this machine":     {server: "local", context: "named", want: none},
		"--server":                          {where: Where{Server: "https://given"}, server: "https://named", context: "named", want: "https://given", has: "g"},
		"--server is this machine":          {where: Where{Server: "local"}, server: "https://named", context: "named", want: none},
		"--context":                         {where: Where{Context: "given"}, server: "https://named", context: "named", want: "https://given", has: "g"},
		"--context is this machine":         {where: Where{Context: "local"}, server: "https://named", context: "named", want: none},
		"--context that isn't there":        {where: Where{Context: "x"}, want: unknown},
		"MAYFLY_CONTEXT that isn't there":   {context: "x", want: unknown},
		"MAYFLY_TOKEN":                      {where: Where{Server: "https://given"}, token: "t", want: "https://given", has: "t"},
		"MAYFLY_TOKEN with --context":       {where: Where{Context: "given"}, token: "t", want: "https://given", has: "t"},
		"MAYFLY_TOKEN of an unknown server": {where: Where{Server: "https://else"}, token: "t", want: "https://else", has: "t"},
		"an unknown server":                 {where: Where{Server: "https://else"}, want: "there is no token for https://else; log in: mayfly login https://else --token-file FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("MAYFLY_SERVER", c.server)
			t.Setenv("MAYFLY_CONTEXT", c.context)
			t.Setenv("MAYFLY_TOKEN", c.token)
			got, has := none, ""
			one, err := all.Choose(c.where)
			if err != nil {
				got = err.Error()
			} else if one != nil {
				got, has = one.Server, one.Token
			}
			if got != c.want || has != c.has {
				t.Errorf("it goes to %s with the token %q, want %s with %q", got, has, c.want, c.has)
			}
		})
	}
}

// TestContextsMode checks that only the user may read the tokens: the file is made so, and refused otherwise.
func TestContextsMode(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	t.Setenv("MAYFLY_HOME", home)
	file := filepath.Join(home, "contexts.json")
	all, err := LoadContexts()
	if err != nil {
		t.Fatal(err)
	}
	all.Put(Context{Name: "a", Server: "https://a", Token: "secret"})
	for range 2 { // it is made, and replaced
		if err := all.Save(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("the file has the mode %s, %v", info.Mode(), err)
		}
	}
	if info, err := os.Stat(home); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has the mode %s, %v", info.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		want := "others may read " + file + ", which has tokens: chmod 600 " + file + ", and have the tokens replaced if others use this machine"
		if _, err := LoadContexts(); err == nil || err.Error() != want {
			t.Errorf("with the mode %s: %v, want %s", mode, err, want)
		}
	}
}
