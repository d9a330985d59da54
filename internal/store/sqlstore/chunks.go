package sqlstore

import (
	"context"
	"errors"

	"github.com/mayfly-run/mayfly/internal/store"
)

// insertChunk adds a chunk as it is, with its checksum.
func insertChunk(tx *tx, id string, c *store.Chunk) {
	sum := c.Checksum
	if c.Object == "" {
		sum = c.Sum(id)
	}
	data := c.Data
	if c.Object != "" || data == nil {
		data = []byte{}
	}
	output := 0
	if c.Output {
		output = 1
	}
	tx.add(newChunks, id, c.First, c.Last, c.FirstLine, c.Lines, c.Bytes, data, sum, c.Object, c.At, c.Size, output)
}

// Chunks implements store.Runs.
func (s *Store) Chunks(ctx context.Context, id string, after int64, most int) ([]store.Chunk, error) {
	return s.chunks(ctx, id, most, whole, `run = ? AND last > ?`, func(last store.Chunk) []any {
		return []any{id, max(after, last.Last)}
	})
}

// ChunksButOutput implements store.Runs.
func (s *Store) ChunksButOutput(ctx context.Context, id string, after int64, most int) ([]store.Chunk, error) {
	return s.chunks(ctx, id, most, butOutput, `run = ? AND last > ?`, func(last store.Chunk) []any {
		return []any{id, max(after, last.Last)}
	})
}

// ChunksOfLines implements store.Runs.
func (s *Store) ChunksOfLines(ctx context.Context, id string, first, last int64, most int) ([]store.Chunk, error) {
	// The index by the last line finds the first chunk, however many there are before it.
	const where = `run = ? AND first >= (SELECT first FROM chunks WHERE run = ? AND first_line + lines >= ? ORDER BY first_line + lines, first LIMIT 1)
		AND first_line <= ? AND last > ?`
	chunks, err := s.chunks(ctx, id, most, whole, where, func(c store.Chunk) []any {
		return []any{id, id, first, last, c.Last}
	})
	if err != nil || len(chunks) == 0 {
		return chunks, err
	}
	end := &chunks[len(chunks)-1]
	end.LastOfRun = true
	return chunks, s.read(ctx, func(row) error { end.LastOfRun = false; return nil }, `SELECT 1 FROM chunks WHERE run = ? AND last > ? LIMIT 1`, id, end.Last)
}

// errCompacted says that chunks were replaced while they were read.
var errCompacted = errors.New("the chunks were replaced while they were read")

// What chunks reads of each: all, or of those that have only output no more than which events they are.
const (
	whole     = `bytes, data, checksum, object, at, size`
	butOutput = `CASE output WHEN 1 THEN 0 ELSE bytes END, CASE output WHEN 1 THEN NULL ELSE data END, CASE output WHEN 1 THEN -1 ELSE checksum END,
		CASE output WHEN 1 THEN '' ELSE object END, at, size`
)

// chunks returns chunks until they have more than most bytes. from returns the parameters for those after one.
func (s *Store) chunks(ctx context.Context, id string, most int, columns, where string, from func(after store.Chunk) []any) ([]store.Chunk, error) {
	for {
		chunks, err := s.chunksOnce(ctx, id, most, columns, where, from)
		if !errors.Is(err, errCompacted) {
			return chunks, err
		}
	}
}

func (s *Store) chunksOnce(ctx context.Context, id string, most int, columns, where string, from func(after store.Chunk) []any) ([]store.Chunk, error) {
	// A query doesn't end where there are enough bytes, so the first one asks for no more chunks than have them if they have their usual
	// size. They may be smaller, so the next ones ask for more.
	const usual, mostAtOnce = 64 << 10, 64
	const leftOut = 200 // what a chunk without its data takes
	page := max(1, min(mostAtOnce, most/usual+1))
	var chunks []store.Chunk
	var last store.Chunk
	for size := int64(0); size <= int64(most); {
		n := 0
		err := s.read(ctx, func(rows row) error {
			var c store.Chunk
			err := rows.Scan(&c.First, &c.Last, &c.FirstLine, &c.Lines, &c.Output, &c.Bytes, &c.Data, &c.Checksum, &c.Object, &c.At, &c.Size)
			n++
			if err != nil || size > int64(most) {
				return err // the page has more than was asked for
			}
			if last.Last > 0 && c.First <= last.Last {
				return errCompacted // it has events of the page before
			}
			if c.Object == "" {
				err = c.Check(id)
			}
			chunks, last, size = append(chunks, c), c, size+c.Bytes
			if c.LeftOut() {
				size += leftOut
			}
			return err
		}, `SELECT first, last, first_line, lines, output, `+columns+` FROM chunks WHERE `+where+` ORDER BY first LIMIT ?`, append(from(last), page)...)
		if err != nil || n < page {
			return chunks, err
		}
		page = min(mostAtOnce, 2*page)
	}
	return chunks, nil
}
