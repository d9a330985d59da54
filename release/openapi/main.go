// Command openapi prints the description of the server's API (OpenAPI 3.1), from which the pages' types are made.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/server"
	"github.com/mayfly-run/mayfly/internal/store/sqlstore"
)

func main() {
	if err := write(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

// write asks a server that was not started, since only a server knows its operations.
func write(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "mayfly-openapi-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := sqlstore.OpenSQLite(ctx, filepath.Join(dir, "mayfly.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s := server.New(server.Options{Store: db})
	defer s.Close()
	answer := httptest.NewRecorder()
	s.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, api.Prefix+"/openapi.json", http.NoBody))
	if answer.Code != http.StatusOK {
		return fmt.Errorf("the description has status %d: %s", answer.Code, answer.Body)
	}
	_, err = answer.Body.WriteTo(os.Stdout)
	return err
}
