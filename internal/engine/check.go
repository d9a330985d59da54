package engine

// Check is the state of one feature of the host that an engine needs, or uses if it exists.
type Check struct {
	Feature string      `json:"feature"`
	Status  CheckStatus `json:"status"`
	Detail  string      `json:"detail,omitempty"`
	Remedy  string      `json:"remedy,omitempty"`
}

// CheckStatus is the result of a check.
type CheckStatus string

// The results of a check.
const (
	CheckOK      CheckStatus = "ok"
	CheckMissing CheckStatus = "missing" // runs that need it fail
	CheckAbsent  CheckStatus = "absent"  // an extra that runs can do without
)

// Unsupported returns the error of a run that needs a feature that is missing.
func (c Check) Unsupported() *Unsupported {
	return &Unsupported{Feature: c.Feature, Why: c.Detail, Remedy: c.Remedy}
}
