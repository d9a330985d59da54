package shape

import (
	"encoding/json"
	"fmt"
)

// Schema is a JSON Schema (2020-12) under construction.
type Schema map[string]any

// Document is the schema as a file, for a kind of file that people know by the title.
func (s Schema) Document(title string) []byte {
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	s["patternProperties"] = Schema{"^" + sharedPrefix: Schema{"description": "Ignored: a place for anchors."}}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("encode the schema of %s: %v", title, err)) // made of maps, lists and strings alone
	}
	return append(data, '\n')
}
