package secret

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the masked outputs to testdata/forms.json")

// TestFormsOfRealPrograms masks the output of real programs that printed secrets (testdata/forms.py).
func TestFormsOfRealPrograms(t *testing.T) {
	const file = "testdata/forms.json"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var forms []struct {
		Tool   string `json:"tool"`
		Value  string `json:"value"`
		Output string `json:"output"`
		Want   string `json:"want"`
	}
	if err := json.Unmarshal(data, &forms); err != nil {
		t.Fatal(err)
	}
	if len(forms) < 100 {
		t.Fatalf("%s has only %d forms", file, len(forms))
	}
	for i, f := range forms {
		t.Run(f.Tool+"/"+f.Value[:8], func(t *testing.T) {
			r := NewRedactor([]byte(f.Value))
			got := byteByByte(t, r, f.Output)
			if one := r.String(f.Output); one != got {
				t.Errorf("%q became %q in pieces, but %q as a whole", f.Output, got, one)
			}
			if *update {
				forms[i].Want = got
			} else if got != f.Want || !strings.Contains(got, Mask) {
				t.Errorf("%q became %q, want %q", f.Output, got, f.Want)
			}
		})
	}
	if !*update {
		return
	}
	if data, err = json.MarshalIndent(forms, "", " "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(data, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}
