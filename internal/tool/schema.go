package tool

import (
	"encoding/json"
	"fmt"
)

// Schema returns the JSON Schema (2020-12) of a tool's definition, for editors. It is made from the tables that the
// loader reads by, and describes the shape of a definition: keys, types and the values that a pattern can tell. What
// takes more, such as two keys that exclude each other, only the loader finds.
func Schema() []byte { return toolShape().schema.document("Mayfly tool") }

// WorkflowSchema returns the JSON Schema of a workflow's definition; see [Schema].
func WorkflowSchema() []byte { return workflowShape().schema.document("Mayfly workflow") }

// SuiteSchema likewise returns the JSON Schema of a test file.
func SuiteSchema() []byte { return suiteShape().schema.document("Mayfly tests") }

// document is the schema as a file, for a kind of file that people know by the title.
func (s schema) document(title string) []byte {
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	s["patternProperties"] = schema{"^" + sharedPrefix: schema{"description": "Means nothing: a place for anchors."}}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("encode the schema of %s: %v", title, err)) // made of maps, lists and strings alone
	}
	return append(data, '\n')
}
