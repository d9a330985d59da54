package shape

import (
	"encoding/json"
	"fmt"
)

// Schema is a JSON Schema (2020-12) under construction.
type Schema map[string]any

// Document returns the schema as a file in JSON. title names the kind of file.
func (s Schema) Document(title string) []byte {
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	s["patternProperties"] = Schema{"^" + sharedPrefix: Schema{"description": "Ignored: a place for anchors."}}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("encode the schema of %s: %v", title, err)) // it consists of maps, lists and strings
	}
	return append(data, '\n')
}
