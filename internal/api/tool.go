package api

import "time"

// File is a file of a tool's folder, by its content.
type File struct {
	Path       string `json:"path" maxLength:"1024" doc:"relative to the folder, with slashes"`
	Digest     string `json:"digest" pattern:"^sha256:[0-9a-f]{64}$" doc:"of the content"`
	Size       int64  `json:"size" minimum:"0" doc:"bytes"`
	Executable bool   `json:"executable,omitempty"`
}

// What a bundle may have at most. The schema of Bundle has the number of files too.
const (
	MostBundleFiles = 10_000
	MostBundleBytes = 256 << 20 // of the files together
)

// Bundle is a definition with its folder. The contents of the files are sent before, each once (Missing, PutContent).
type Bundle struct {
	Definition string `json:"definition" maxLength:"1024" doc:"the path of the definition among files"`
	Files      []File `json:"files" minItems:"1" maxItems:"10000"`
}

// NewVersion makes a version of a tool.
type NewVersion struct {
	Bundle
	Note string `json:"note,omitempty" maxLength:"10000" doc:"what changes, for people"`
}

// Version is an immutable version of a tool or workflow.
type Version struct {
	Tool        string    `json:"tool"`
	Version     int       `json:"version" doc:"from 1"`
	Kind        string    `json:"kind" enum:"tool,workflow"`
	Description string    `json:"description,omitempty"`
	Note        string    `json:"note,omitempty"`
	Digest      string    `json:"digest" doc:"of the bundle: the same files have the same digest"`
	Created     time.Time `json:"created"`
	CreatedBy   string    `json:"created_by"`
	// New says that this request made the version; otherwise the latest version was the same already.
	New bool `json:"new,omitempty"`
	// Warnings are what is probably a mistake.
	Warnings []Wrong `json:"warnings,omitempty"`
}

// ToolList is a page of tools, by name.
type ToolList struct {
	Tools []Version `json:"tools" doc:"the latest version of each"`
	Next  string    `json:"next,omitempty" doc:"the cursor of the next page; empty on the last one"`
}

// VersionList is a page of the versions of a tool, the newest first.
type VersionList struct {
	Versions []Version `json:"versions"`
	Next     string    `json:"next,omitempty" doc:"the cursor of the next page; empty on the last one"`
}

// Digests asks which contents are still to be sent to a project, and is the answer.
type Digests struct {
	Digests []string `json:"digests" maxItems:"10000" doc:"sha256:HEX"`
}
