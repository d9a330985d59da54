package image

import (
	"encoding/json"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestInWords(t *testing.T) {
	for text, want := range map[string]string{
		`{"config": {"Cmd": "echo hi"}}`:       "config.Cmd must be a list, not a string",
		`{"config": {"Env": {}}}`:              "config.Env must be a list, not an object",
		`{"config": {"Labels": ["a"]}}`:        "config.Labels must be an object, not a list",
		`{"architecture": 5}`:                  "architecture must be a string, not a number",
		`{"config": {"ArgsEscaped": "false"}}`: "config.ArgsEscaped must be true or false, not a string",
		`[]`:                                   "the document must be an object, not a list",
		`{`:                                    "unexpected end of JSON input",
	} {
		if err := inWords(json.Unmarshal([]byte(text), &v1.ConfigFile{})); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
