package sqlstore

import (
	"context"
	"testing"

	"github.com/mayfly-run/mayfly/internal/store"
)

// TestChunksReadsNoMore has a chunk that can't be read: a query reads it only if so much is asked for.
func TestChunksReadsNoMore(t *testing.T) {
	s := openSQLite(t)
	const damaged = 4
	err := s.write(t.Context(), func(ctx context.Context, tx *tx) error {
		for n := range int64(20) {
			c := &store.Chunk{First: n + 1, Last: n + 1, Bytes: 64 << 10, Data: []byte("x")}
			insertChunk(tx, "a", c)
		}
		_, err := tx.exec(ctx, `UPDATE chunks SET size = 'x' WHERE run = 'a' AND first = ?`, damaged)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after int64
		most  int
		want  int // chunks; 0 for the damaged one
	}{
		{0, 1, 1}, {0, 100 << 10, 2}, {0, 130 << 10, 3}, {0, 1 << 20, 0}, {2, 1, 1}, {3, 1, 0}, {4, 1, 1}, {4, 640 << 10, 11}, {4, 100 << 20, 16},
	} {
		chunks, err := s.Chunks(t.Context(), "a", c.after, c.most)
		if (err == nil) != (c.want > 0) || len(chunks) != c.want && c.want > 0 {
			t.Errorf("%d bytes after %d: %d chunks, %v, want %d", c.most, c.after, len(chunks), err, c.want)
		}
	}
}
