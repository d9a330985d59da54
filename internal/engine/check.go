package engine

// Check is one thing that an engine needs of its host, or would use.
type Check struct {
	Feature string      `json:"feature"`
	Status  CheckStatus `json:"status"`
	Detail  string      `json:"detail,omitempty"`
	Remedy  string      `json:"remedy,omitempty"`
}

// CheckStatus is what a check found.
type CheckStatus string

// What checks find.
const (
	CheckOK      CheckStatus = "ok"
	CheckMissing CheckStatus = "missing" // runs that need it fail
	CheckAbsent  CheckStatus = "absent"  // an addition that runs do without
)

// Unsupported is the error of a run that needs what the check found missing.
func (c Check) Unsupported() *Unsupported {
	return &Unsupported{Feature: c.Feature, Why: c.Detail, Remedy: c.Remedy}
}
