package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// watched serves metrics at their own address, if there is one, until end is called. A token for them would be one more secret to hand to
// what watches, and the roles of tokens are about projects; an address can be closed to everyone else.
func (f *serverFlags) watched(ctx context.Context, metrics http.Handler, log *slog.Logger) (end func() error, err error) {
	if f.metricsListen == "" {
		return func() error { return nil }, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", f.metricsListen)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics at %s: %w; choose another --metrics-listen", f.metricsListen, err)
	}
	s := &http.Server{
		Handler: metrics, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // mistakes of clients
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	log.Info("metrics", "address", "http://"+l.Addr().String()+"/metrics")
	return func() error {
		err := s.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}
