package tool

// Schema returns the JSON Schema (2020-12) of a tool's definition, for editors. It comes from the tables that the loader
// uses, and describes keys, types, and the values that a pattern can match. Only the loader finds other problems, such as two
// keys that exclude each other.
func Schema() []byte { return Shape().Schema.Document("Mayfly tool") }
