package server

import (
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/api"
)

// A run that a runner, or another server on the same database, would carry out otherwise than it was asked for if it were of an earlier
// version has a label that only those have that know what the run needs. Those before them find no label of this name at any runner,
// so that they never hand such a run out. People don't see these labels: nobody can give them to a runner.

const (
	ownLabels = "mayfly:"
	// needsTests is for runs of tests. An earlier runner has nothing to run of one, and says so.
	needsTests = ownLabels + "tests"
	// needsSecrets is for runs that were given secrets. An earlier server would take those of the project.
	needsSecrets = ownLabels + "secrets"
	// needsKeeping is for runs whose sandboxes are kept if they fail. An earlier runner would keep one until its end, and open no shell in it.
	needsKeeping = ownLabels + "keeping"
)

// labelsOf are the labels of a runner, with those for what it and this server know.
func labelsOf(h *api.Hello) []string {
	all := append(withoutOwn(h.Labels), needsSecrets)
	if h.Tests {
		all = append(all, needsTests)
	}
	if h.Keeps {
		all = append(all, needsKeeping)
	}
	return all
}

// withoutOwn are the labels that people have given.
func withoutOwn(labels []string) []string {
	return slices.DeleteFunc(slices.Clone(labels), isOwn)
}

func isOwn(label string) bool { return strings.HasPrefix(label, ownLabels) }
