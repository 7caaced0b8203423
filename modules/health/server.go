// Package health reports the state of a worker process over HTTP: whether it is alive, whether it is ready for work,
// and metrics of its work. It only reads, and of pipelines it exposes names but no data. It requires no credentials.
package health

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/modules/workers/slots"
	"github.com/sluiceworks/sluice/platform/db"
)

// ErrAddress is returned by Listen if it cannot listen on the address.
var ErrAddress = errors.New("cannot listen")

// Bounds on one request, so that no client can block the process.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 15 * time.Second
	idleTimeout  = time.Minute
	maxHeader    = 16 << 10
	closing      = 2 * time.Second // for pending requests when the server stops
)

// Deps are the dependencies of a Server.
type Deps struct {
	DB        *db.DB
	Outbox    *outbox.Repository
	Pipelines *engine.Repository
	Log       *zap.Logger
}

// Server serves GET /livez, /readyz and /metrics for the pools of a process, one for each tenant that it serves.
// Create it with Listen, and pass its Observers to the pools.
type Server struct {
	deps     Deps
	base     context.Context
	metrics  *metrics
	listener net.Listener
	http     *http.Server
	draining atomic.Bool
	ended    chan struct{}

	mu     sync.Mutex
	pools  map[string]*workers.Pool // by tenant
	budget *slots.Semaphore
}

// Listen listens on an address returned by Address and serves requests until Close. The process is not ready until
// Watch has been called with a pool. The server does not end with ctx. The error is ErrAddress.
func Listen(ctx context.Context, address string, d Deps) (*Server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w on %s: %w", ErrAddress, address, rootOf(err))
	}
	s := &Server{
		deps: d, base: context.WithoutCancel(ctx), listener: listener, ended: make(chan struct{}),
		pools: map[string]*workers.Pool{},
	}
	s.metrics = newMetrics(s)
	s.http = &http.Server{
		Handler: s.routes(), ReadTimeout: readTimeout, ReadHeaderTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: zap.NewStdLog(d.Log),
		BaseContext: func(net.Listener) context.Context { return s.base },
	}
	if !isLoopback(listener.Addr()) {
		d.Log.Warn("health and metrics are open to other machines: nobody is asked for credentials",
			zap.Stringer("listen", listener.Addr()))
	}
	go s.serve()
	return s, nil
}

// rootOf returns the reason of a net error, without the operation and the address, which the message already
// contains.
func rootOf(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func (s *Server) serve() {
	defer close(s.ended)
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.deps.Log.Error("health and metrics are not served any more", zap.Error(err))
	}
}

// Addr returns the address that the server listens on, with the actual port.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Observer returns the observer of a tenant's pool, for the pool's configuration.
func (s *Server) Observer(tenant string) workers.Observer { return s.metrics.of(tenant) }

// Share sets the budget of slots that the pools share, which the server then reports.
func (s *Server) Share(b *slots.Semaphore) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.budget = b
}

// Watch adds a tenant's pool to those that the server reports on.
func (s *Server) Watch(tenant string, p *workers.Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[tenant] = p
}

// Unwatch removes a tenant's pool and its metrics, because the process no longer serves the tenant.
func (s *Server) Unwatch(tenant string) {
	s.mu.Lock()
	delete(s.pools, tenant)
	s.mu.Unlock()
	s.metrics.forget(tenant)
}

// Drain makes the process not ready, because it accepts no more work. The server keeps responding.
func (s *Server) Drain() { s.draining.Store(true) }

// Close stops the server. Pending requests get a short time to finish, even if ctx has ended.
func (s *Server) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.ended
	if err != nil {
		return fmt.Errorf("close the health server: %w", err)
	}
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", live)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", s.metrics.handler(s.deps.Log))
	return mux
}

// standing is the state of a tenant's pool.
type standing struct {
	tenant string
	workers.State
}

// tenants returns the tenants that are served or, before there are any, the context's tenant.
func (s *Server) tenants(ctx context.Context) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pools) == 0 {
		return []string{db.TenantOf(ctx)}
	}
	return slices.Sorted(maps.Keys(s.pools))
}

// standings returns the pools' states in the order of their tenants, and the total and used slots of the process.
func (s *Server) standings() (list []standing, slots, used int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tenant := range slices.Sorted(maps.Keys(s.pools)) {
		state := s.pools[tenant].State()
		list = append(list, standing{tenant, state})
		if state.Worker != "" {
			slots, used = slots+state.Slots, used+state.Used
		}
	}
	if s.budget != nil {
		slots, used = s.budget.State()
	}
	return list, slots, used
}
