package api

import "time"

// SetSecret sets a secret, or which tools may use it.
type SetSecret struct {
	// Value is nil if only Tools is to change.
	Value *string   `json:"value,omitempty" maxLength:"1400000" doc:"the value in base64; left out to change only tools"`
	Tools *[]string `json:"tools,omitempty" maxItems:"1000" doc:"the tools that may use it; [] for all of the project. Left out, it stays as it is"`
}

// Secret is a secret without its value, which nobody can read.
type Secret struct {
	ETag    string    `json:"etag" doc:"the ETag has it, in quotes: another one with each value, and with other tools"`
	Name    string    `json:"name"`
	Version int       `json:"version" doc:"from 1, and one more with each value"`
	Tools   []string  `json:"tools,omitempty" doc:"the tools that may use it; empty for all of the project"`
	Set     time.Time `json:"set"`
	SetBy   string    `json:"set_by"`
	Used    time.Time `json:"used,omitzero" doc:"when a run had it last"`
	UsedBy  string    `json:"used_by,omitempty" doc:"the run that had it last"`
}

// SecretList is a page of secrets, by name.
type SecretList struct {
	Secrets []Secret `json:"secrets"`
	Next    string   `json:"next,omitempty" doc:"the cursor of the next page; empty on the last one"`
}

// SecretHistory is a secret with its latest versions and uses, at most 100 of each, the newest first. No value is in it.
type SecretHistory struct {
	Secret
	Versions []SecretVersion `json:"versions" doc:"at most 100, the newest first; only the newest one is kept"`
	Uses     []SecretUse     `json:"uses" doc:"the latest 100 runs that had it, the newest first"`
}

// SecretVersion is a version of a secret.
type SecretVersion struct {
	Version int       `json:"version"`
	Set     time.Time `json:"set"`
	SetBy   string    `json:"set_by"`
}

// SecretUse is a run that had a secret.
type SecretUse struct {
	Run     string    `json:"run"`
	Tool    string    `json:"tool,omitempty" doc:"empty for a definition that came with the request, and for a run that was removed"`
	Used    time.Time `json:"used"`
	Version int       `json:"version"`
}
