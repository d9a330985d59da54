package server

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestChangedWhileRead has something change while it is read: what was read isn't kept.
func TestChangedWhileRead(t *testing.T) {
	c := newRecent[string](time.Hour, 10)
	get := func(read func() string) string {
		got, err := c.get(t.Context(), "key", func(context.Context, string) (string, error) { return read(), nil })
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	get(func() string {
		c.forget(func(key, _ string) bool { return key == "key" })
		return "old"
	})
	if got := get(func() string { return "new" }); got != "new" {
		t.Errorf("got %q after the change", got)
	}
	if got := get(func() string { return "newer" }); got != "new" {
		t.Errorf("got %q within the age", got)
	}
	c.forget(func(_, value string) bool { return value == "new" })
	if c.has("key") {
		t.Error("it has what was forgotten")
	}
}

// TestRecentIsBounded reads more than is kept.
func TestRecentIsBounded(t *testing.T) {
	c := newRecent[int](time.Hour, 10)
	for i := range 100 {
		if _, err := c.get(t.Context(), fmt.Sprint(i), func(context.Context, int) (int, error) { return i, nil }); err != nil || len(c.have) > 10 {
			t.Fatalf("%d are kept, %v", len(c.have), err)
		}
	}
}

// TestFirstIsBounded keeps more bytes than there is room for: the oldest go.
func TestFirstIsBounded(t *testing.T) {
	c := newFirst[int](time.Hour, 100)
	for i := range 10 {
		c.put(fmt.Sprint(i), i, 30)
	}
	for i := range 10 {
		if got, ok := c.get(fmt.Sprint(i)); ok != (i >= 7) || ok && got != i {
			t.Errorf("%d: %d, %v", i, got, ok)
		}
	}
	c.put("9", 9, 50) // again
	c.put("large", 0, 1000)
	if _, ok := c.get("large"); !ok || len(c.have) != 1 || len(c.oldest) != 1 || c.size != 1000 {
		t.Errorf("%d are kept, %d bytes", len(c.have), c.size)
	}
	c.put("small", 0, 1)
	if _, ok := c.get("large"); ok || c.size != 1 {
		t.Errorf("a large one stays: %d bytes", c.size)
	}
}
