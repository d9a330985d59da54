package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/store"
)

func sessions(t *testing.T, s Store) {
	ctx := t.Context()
	for _, tok := range []store.Token{
		{Hash: []byte("a"), Name: "ada", Project: "p", Role: "author"},
		{Hash: []byte("old"), Name: "old", Role: "admin", Expires: time.Now().Add(-time.Hour)},
	} {
		if err := s.AddToken(ctx, tok); err != nil {
			t.Fatal(err)
		}
	}
	add := func(hash string, within time.Duration) store.Session {
		t.Helper()
		one, err := s.AddSession(ctx, []byte(hash), []byte("a"), within, 2)
		if err != nil || string(one.Hash) != hash || one.Token.Name != "ada" || one.Expires.IsZero() {
			t.Fatalf("session %+v, %v", one, err)
		}
		return one
	}
	find := func(hash string, idle time.Duration) (store.Session, bool) {
		t.Helper()
		one, err := s.Session(ctx, []byte(hash), idle)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return one, err == nil
	}
	made := add("1", time.Hour)
	if one, ok := find("1", time.Hour); !ok || string(one.Token.Hash) != "a" || one.Token.Role != "author" || !one.Expires.Equal(made.Expires) || one.Unused > time.Hour {
		t.Errorf("session %+v", one)
	}
	for name, ok := range map[string]bool{"unknown": second(find("9", time.Hour)), "unused for too long": second(find("1", -time.Hour))} {
		if ok {
			t.Errorf("a session that is %s was found", name)
		}
	}
	for _, token := range []string{"none", "old"} {
		if _, err := s.AddSession(ctx, []byte("x"), []byte(token), time.Hour, 2); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a session of the token %s: %v", token, err)
		}
	}
	add("over", -time.Second)
	if second(find("over", time.Hour)) {
		t.Error("a session that has expired was found")
	}
	// Of three, the one that was unused for longest ends.
	time.Sleep(2 * time.Millisecond)
	if err := s.UseSession(ctx, []byte("1")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	add("2", time.Hour)
	if !second(find("1", time.Hour)) || !second(find("2", time.Hour)) || s.RemoveSession(ctx, []byte("over"), []byte("a")) == nil {
		t.Error("the wrong session was ended")
	}
	if err := s.RemoveSession(ctx, []byte("1"), []byte("old")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("remove the session of another token: %v", err)
	}
	if err := s.RemoveSession(ctx, []byte("1"), []byte("a")); err != nil || second(find("1", time.Hour)) {
		t.Errorf("remove a session: %v", err)
	}
	if err := s.ForgetSessions(ctx, time.Hour); err != nil || !second(find("2", time.Hour)) {
		t.Errorf("forget: %v", err)
	}
	if err := s.RemoveToken(ctx, "p", "ada"); err != nil || second(find("2", time.Hour)) {
		t.Errorf("a session of a token that was removed is found: %v", err)
	}
	if err := s.ForgetSessions(ctx, time.Hour); err != nil || s.RemoveSession(ctx, []byte("2"), []byte("a")) == nil {
		t.Errorf("the session of a removed token is there: %v", err)
	}
}

// sessionOfExpiring has the session of a token that expires.
func sessionOfExpiring(t *testing.T, s Store) {
	ctx := t.Context()
	for within := 50 * time.Millisecond; ; within *= 2 { // on a slow machine, the token may expire before it has a session
		hash := []byte(within.String())
		if err := s.AddToken(ctx, store.Token{Hash: hash, Name: within.String(), Role: "viewer", Expires: time.Now().Add(within)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddSession(ctx, hash, hash, time.Hour, 2); errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			if _, err := s.Session(ctx, hash, time.Hour); errors.Is(err, store.ErrNotFound) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
			if time.Since(begin) > within+10*time.Second {
				t.Fatal("the session is there after its token has expired")
			}
		}
	}
}

func second[T any](_ T, ok bool) bool { return ok }

// sessionsAtOnce adds many sessions of a token at once: it never has more than the bound.
func sessionsAtOnce(t *testing.T, s Store) {
	ctx := t.Context()
	if err := s.AddToken(ctx, store.Token{Hash: []byte("a"), Name: "ada", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	var adding sync.WaitGroup
	const most = 3
	for n := range 20 {
		adding.Go(func() {
			if _, err := s.AddSession(ctx, fmt.Append(nil, n), []byte("a"), time.Hour, most); err != nil {
				t.Error(err)
			}
		})
	}
	adding.Wait()
	have := 0
	for n := range 20 {
		if _, err := s.Session(ctx, fmt.Append(nil, n), time.Hour); err == nil {
			have++
		}
	}
	if have != most {
		t.Errorf("the token has %d sessions, want %d", have, most)
	}
}
