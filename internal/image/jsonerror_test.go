package image

import (
	"encoding/json"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestInWords(t *testing.T) {
	for text, want := range map[string]string{
		`{"config": {"Cmd": "echo hi"}}`:       "config.Cmd is of the kind string, where a list belongs",
		`{"config": {"Env": {}}}`:              "config.Env is of the kind object, where a list belongs",
		`{"config": {"Labels": ["a"]}}`:        "config.Labels is of the kind array, where an object belongs",
		`{"architecture": 5}`:                  "architecture is of the kind number, where a string belongs",
		`{"config": {"ArgsEscaped": "false"}}`: "config.ArgsEscaped is of the kind string, where true or false belongs",
		`[]`:                                   "the document is of the kind array, where an object belongs",
		`{`:                                    "unexpected end of JSON input",
	} {
		if err := inWords(json.Unmarshal([]byte(text), &v1.ConfigFile{})); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
