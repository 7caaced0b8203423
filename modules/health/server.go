// Package health tells over HTTP how a worker process is: whether it lives, whether it is ready for work, and what it has done. It
// reads and never changes anything, and it shows no data of pipelines. It asks for no credentials.
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
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
)

// ErrAddress is an address that can't be listened on.
var ErrAddress = errors.New("cannot listen")

// Bounds on one exchange, so that no client holds on to the process.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 15 * time.Second
	idleTimeout  = time.Minute
	maxHeader    = 16 << 10
	closing      = 2 * time.Second // for exchanges under way when the server stops
)

// Deps are what the server asks.
type Deps struct {
	DB        *db.DB
	Outbox    *outbox.Repository
	Pipelines *pipelines.Repository
	Log       *zap.Logger
}

// Server answers GET /livez, /readyz and /metrics about the pools of a process, one for each tenant that it serves. Make it with
// Listen; its Observers are for the pools that it tells about.
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
	budget *workers.Budget
}

// Listen opens an address, which Address has read, and answers on it until Close. Until Watch has given it a pool the process is
// not ready. The end of ctx does not end the server. The error is ErrAddress.
func Listen(ctx context.Context, address string, d Deps) (*Server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w on %s: %w", ErrAddress, address, rootOf(err))
	}
	s := &Server{deps: d, base: context.WithoutCancel(ctx), listener: listener, ended: make(chan struct{}), pools: map[string]*workers.Pool{}}
	s.metrics = newMetrics(s)
	s.http = &http.Server{
		Handler: s.routes(), ReadTimeout: readTimeout, ReadHeaderTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: zap.NewStdLog(d.Log), BaseContext: func(net.Listener) context.Context { return s.base },
	}
	if !isLoopback(listener.Addr()) {
		d.Log.Warn("health and metrics are open to other machines: nobody is asked for credentials", zap.Stringer("listen", listener.Addr()))
	}
	go s.serve()
	return s, nil
}

// rootOf leaves out what net puts before the reason: the operation and the address, which the message has.
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

// Addr is where the server listens, with the port that it took.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Observer is what a tenant's pool tells of its work; it goes into the pool's configuration.
func (s *Server) Observer(tenant string) workers.Observer { return s.metrics.of(tenant) }

// Share has the server tell about the slots that the pools share.
func (s *Server) Share(b *workers.Budget) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.budget = b
}

// Watch has the server tell about a tenant's pool from now on.
func (s *Server) Watch(tenant string, p *workers.Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[tenant] = p
}

// Unwatch ends that: the tenant is not served any more.
func (s *Server) Unwatch(tenant string) {
	s.mu.Lock()
	delete(s.pools, tenant)
	s.mu.Unlock()
	s.metrics.forget(tenant)
}

// Drain says that the process takes no more work: it is not ready any more, and still answers.
func (s *Server) Drain() { s.draining.Store(true) }

// Close ends the server; exchanges under way have a moment to end, even if ctx has ended.
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

// standing is how a tenant's pool stands.
type standing struct {
	tenant string
	workers.State
}

// tenants names those that are served; before that, the context's.
func (s *Server) tenants(ctx context.Context) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pools) == 0 {
		return []string{db.TenantOf(ctx)}
	}
	return slices.Sorted(maps.Keys(s.pools))
}

// standings gives the pools' states in the order of their tenants, and the slots of the process.
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
