package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

func secrets(t *testing.T, s Store) {
	ctx := t.Context()
	set := func(project, name, value string, tools ...string) store.Secret {
		t.Helper()
		var at time.Time
		one, err := s.SetSecret(ctx, store.Secret{Project: project, Name: name, Tools: tools, SetBy: "ada"}, nil, func(version int, set time.Time) ([]byte, error) {
			at = set
			return fmt.Appendf(nil, "%d:%s", version, value), nil
		})
		if err != nil || !one.Set.Equal(at) || at.IsZero() || one.SetBy != "ada" || tools != nil && !slices.Equal(one.Tools, tools) {
			t.Errorf("set: %+v, %v", one, err)
		}
		return one
	}
	if one := set("p", "a", "x", "t"); one.Version != 1 || string(one.Sealed) != "1:x" {
		t.Errorf("the first version: %+v", one)
	}
	if one := set("p", "a", "y"); one.Version != 2 || string(one.Sealed) != "2:y" || !slices.Equal(one.Tools, []string{"t"}) {
		t.Errorf("the second version: %+v", one)
	}
	set("q", "a", "z")
	set("q", "b", "z", "t")
	set("q", "b", "z", []string{}...)
	if one, err := s.Secret(ctx, "q", "b"); err != nil || len(one.Tools) > 0 {
		t.Errorf("a secret for all tools again: %+v, %v", one, err)
	}
	if err := s.RemoveSecret(ctx, "q", "b", nil); err != nil {
		t.Error(err)
	}
	if err := s.LimitSecret(ctx, "p", "a", []string{"u"}, nil); err != nil {
		t.Error(err)
	}
	if err := s.UsedSecrets(ctx, "p", []string{"a", "none"}, "run-1"); err != nil {
		t.Error(err)
	}
	one, err := s.Secret(ctx, "p", "a")
	if err != nil || one.Version != 2 || !slices.Equal(one.Tools, []string{"u"}) || one.UsedBy != "run-1" || one.Used.IsZero() {
		t.Errorf("secret %+v, %v", one, err)
	}
	if err := s.RewrapSecret(ctx, one, []byte("new")); err != nil {
		t.Error(err)
	}
	one.Version = 1
	if err := s.RewrapSecret(ctx, one, []byte("old version")); err != nil {
		t.Error(err)
	}
	if all, err := s.Secrets(ctx, "", store.Page{}); err != nil || len(all) != 2 || string(all[0].Sealed) != "new" || all[1].Project != "q" {
		t.Errorf("secrets of all projects: %+v, %v", all, err)
	}
	if all, err := s.Secrets(ctx, "q", store.Page{}); err != nil || len(all) != 1 {
		t.Errorf("secrets of a project: %+v, %v", all, err)
	}
	if err := s.RemoveSecret(ctx, "p", "a", nil); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"get": func() error { _, err := s.Secret(ctx, "p", "a"); return err }(), "remove": s.RemoveSecret(ctx, "p", "a", nil), "limit": s.LimitSecret(ctx, "p", "a", nil, nil),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s a secret that isn't there: %v", name, err)
		}
	}
}

// removedAsSeen removes a secret that was set again since it was seen.
func removedAsSeen(t *testing.T, s Store, seen store.Secret) {
	t.Helper()
	ctx := t.Context()
	if err := s.RemoveSecret(ctx, seen.Project, seen.Name, &seen); !errors.Is(err, store.ErrChanged) {
		t.Errorf("removed with what was seen of the one before: %v", err)
	}
	now, err := s.Secret(ctx, seen.Project, seen.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveSecret(ctx, seen.Project, seen.Name, &now); err != nil {
		t.Errorf("removed as it was seen: %v", err)
	}
}

// secretsMeanwhile has secrets changed on the condition that nobody else has changed them.
func secretsMeanwhile(t *testing.T, s Store) {
	ctx := t.Context()
	change := func(name, value string, is *store.Secret, tools ...string) error {
		if value == "" {
			return s.LimitSecret(ctx, "p", name, tools, is)
		}
		_, err := s.SetSecret(ctx, store.Secret{Project: "p", Name: name, Tools: tools}, is, func(int, time.Time) ([]byte, error) { return []byte(value), nil })
		return err
	}
	had := func(version int, tools ...string) *store.Secret { return &store.Secret{Version: version, Tools: tools} }
	for i, c := range []struct {
		name, value string
		is          *store.Secret
		tools       []string
		want        error
	}{
		{"a", "", had(1), nil, store.ErrNotFound},
		{"a", "x", had(1), nil, store.ErrChanged},
		{"a", "x", had(0), nil, nil},
		{"a", "y", had(0), nil, store.ErrChanged},
		{"a", "", had(1), []string{"t"}, nil},
		{"a", "", had(1), []string{"u"}, store.ErrChanged}, // it has t
		{"a", "y", had(1), []string{"u"}, store.ErrChanged},
		{"a", "", had(1, "t"), []string{"u", "t"}, nil},
		{"a", "y", had(1, "u", "t"), nil, nil},
		{"a", "", had(1, "u", "t"), []string{"v"}, store.ErrChanged}, // it has version 2
		{"a", "", had(2, "u", "t"), []string{}, nil},
		{"a", "z", had(2), []string{}, nil},
		{"a", "", had(3), nil, nil},
		{"a", "", nil, []string{"w"}, nil},
	} {
		if there, err := s.Secret(ctx, "p", c.name); err == nil && c.is != nil {
			c.is.Set = there.Set
		}
		if err := change(c.name, c.value, c.is, c.tools...); !errors.Is(err, c.want) {
			t.Errorf("%d: %v, want %v", i, err, c.want)
		}
	}
	// One that was removed and set again is another one, although it has the same version and tools.
	if err := change("again", "x", nil); err != nil {
		t.Fatal(err)
	}
	seen, err := s.Secret(ctx, "p", "again")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveSecret(ctx, "p", "again", nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond) // the database's clock has milliseconds
	if err := change("again", "y", nil); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"z", ""} {
		if err := change("again", value, &seen); !errors.Is(err, store.ErrChanged) {
			t.Errorf("with what was seen of the one before: %v", err)
		}
	}
	removedAsSeen(t, s, seen)
	// Of several who have seen the same, one changes it.
	one, err := s.Secret(ctx, "p", "a")
	if err != nil || !slices.Equal(one.Tools, []string{"w"}) {
		t.Fatalf("%+v, %v", one, err)
	}
	var work sync.WaitGroup
	var made atomic.Int64
	for n := range 10 {
		work.Go(func() {
			value := ""
			if n%2 == 0 {
				value = "x"
			}
			switch err := change("a", value, &one, fmt.Sprint(n)); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, store.ErrChanged):
				t.Errorf("change: %v", err)
			}
		})
	}
	if work.Wait(); made.Load() != 1 {
		t.Errorf("%d have changed it", made.Load())
	}
}

// SetAtOnce has several set the same secret and the same policy: each makes a version.
func SetAtOnce(t *testing.T, stores ...Store) {
	const each = 4 // so few that none is the loser more often than it tries again
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		var work sync.WaitGroup
		for _, s := range stores {
			for range each {
				work.Go(func() {
					_, err := s.SetSecret(t.Context(), store.Secret{Project: "p", Name: name}, nil, func(int, time.Time) ([]byte, error) { return []byte("x"), nil })
					if err != nil {
						t.Errorf("set the secret %s: %v", name, err)
					}
				})
				work.Go(func() {
					if _, err := s.SetPolicy(t.Context(), store.Policy{Project: name, Text: "x"}, store.AnyVersion); err != nil {
						t.Errorf("set the policy of %s: %v", name, err)
					}
				})
			}
		}
		work.Wait()
		if one, err := stores[0].Secret(t.Context(), "p", name); err != nil || one.Version != each*len(stores) {
			t.Errorf("the secret has version %d, %v", one.Version, err)
		}
		if p, err := stores[0].Policy(t.Context(), name); err != nil || p.Version != each*len(stores) {
			t.Errorf("the policy has version %d, %v", p.Version, err)
		}
	}
}

// secretHistory has more versions and uses of a secret than are kept.
func secretHistory(t *testing.T, s Store) {
	ctx := t.Context()
	set := func(by string) {
		t.Helper()
		if _, err := s.SetSecret(ctx, store.Secret{Project: "p", Name: "a", SetBy: by}, nil, func(int, time.Time) ([]byte, error) { return []byte("sealed"), nil }); err != nil {
			t.Fatal(err)
		}
	}
	set("ada")
	set("bob")
	accept(t, s, newRun("run-000"))
	const more = 3
	for n := range store.SecretHistory + more {
		if err := s.UsedSecrets(ctx, "p", []string{"a", "none"}, fmt.Sprintf("run-%03d", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.UsedSecrets(ctx, "p", []string{"a"}, "run-102"); err != nil { // another attempt
		t.Fatal(err)
	}
	uses, err := s.SecretUses(ctx, "p", "a")
	if err != nil || len(uses) != store.SecretHistory || uses[0].Run != "run-102" || uses[99].Run != "run-003" || uses[0].Version != 2 || uses[0].Used.IsZero() {
		t.Errorf("%d uses: %+v, %v", len(uses), uses, err)
	}
	if versions, err := s.SecretVersions(ctx, "p", "a"); err != nil || len(versions) != 2 || versions[0].Version != 2 || versions[0].SetBy != "bob" || versions[1].SetBy != "ada" || versions[1].Set.IsZero() {
		t.Errorf("versions: %+v, %v", versions, err)
	}
	for range store.SecretHistory {
		set("eve")
	}
	if versions, err := s.SecretVersions(ctx, "p", "a"); err != nil || len(versions) != store.SecretHistory || versions[99].Version != more {
		t.Errorf("%d versions, %v", len(versions), err)
	}
	if err := s.UsedSecrets(ctx, "p", []string{"a"}, "run-000"); err != nil { // an old run that waited for long
		t.Fatal(err)
	}
	if err := s.RemoveSecret(ctx, "p", "a", nil); err != nil {
		t.Fatal(err)
	}
	versions, err := s.SecretVersions(ctx, "p", "a")
	if uses, failed := s.SecretUses(ctx, "p", "a"); err != nil || failed != nil || len(versions)+len(uses) != 0 {
		t.Errorf("of a secret that was removed: %v, %v, %v, %v", versions, uses, err, failed)
	}
	set("ada")
	if err := s.UsedSecrets(ctx, "p", []string{"a"}, "run-000"); err != nil {
		t.Fatal(err)
	}
	if uses, err := s.SecretUses(ctx, "p", "a"); err != nil || len(uses) != 1 || uses[0].Tool != "t" || uses[0].Version != 1 {
		t.Errorf("set again: %+v, %v", uses, err)
	}
}
