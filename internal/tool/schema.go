package tool

// Schema returns the JSON Schema (2020-12) of a tool's definition, for editors. It is made from the tables that the
// loader reads by, and describes the shape of a definition: keys, types and the values that a pattern can tell. What
// takes more, such as two keys that exclude each other, only the loader finds.
func Schema() []byte { return Shape().Schema.Document("Mayfly tool") }
