// Command service is a web service that embeds sluice: it starts a run for each order that it receives, and works on
// the runs itself. Several instances on one PostgreSQL share the work.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/orders/orders"
	"github.com/sluiceworks/sluice/client"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	if err := serve(ctx, os.Getenv("DATABASE_URL"), orders.FakeBank{}, listener); err != nil {
		log.Fatal(err)
	}
}

// serve answers requests and works on the orders until ctx ends. Then it answers no more requests and lets running
// tasks end.
func serve(ctx context.Context, url string, bank orders.Bank, listener net.Listener) (err error) {
	defer func() { _ = listener.Close() }() // if the server does not
	c, err := client.Open(ctx, url, client.Options{Migrate: true, Actor: "order service"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	handlers := orders.Handlers(bank)
	registry, err := tasks.NewRegistry(handlers)
	if err != nil {
		return err
	}
	s := &service{client: c, order: orders.Pipeline()}
	if err := s.order.Check(registry); err != nil {
		return err
	}
	worker, err := c.NewWorker(handlers, client.WorkerConfig{Slots: 50, Drain: 20 * time.Second})
	if err != nil {
		return err
	}
	if err := worker.Start(ctx); err != nil {
		return err
	}
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		select {
		case <-ctx.Done():
		case <-worker.Done(): // by itself: Stop returns why
		}
		_ = server.Shutdown(context.WithoutCancel(ctx))
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return worker.Stop(context.WithoutCancel(ctx))
}

type service struct {
	client *client.Client
	order  *definition.Definition
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.post)
	mux.HandleFunc("GET /orders/{id}", s.get)
	return mux
}

// post starts the run of an order. A repeated request with the same Idempotency-Key finds the first run.
func (s *service) post(w http.ResponseWriter, r *http.Request) {
	var input json.RawMessage
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&input); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	started, err := s.client.Start(r.Context(), client.StartRequest{
		Definition: s.order, Input: input, IdempotencyKey: r.Header.Get("Idempotency-Key"),
	})
	var mistakes definition.Diagnostics
	switch {
	case errors.As(err, &mistakes):
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	case errors.Is(err, pipelines.ErrKeyReused):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Location", "/orders/"+started.ID.String())
		w.WriteHeader(http.StatusAccepted)
	}
}

// get answers when the order has ended, or after ten seconds, with the state of its run.
func (s *service) get(w http.ResponseWriter, r *http.Request) {
	id, err := client.ParseID(r.PathValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	run, err := s.client.Wait(ctx, id)
	switch {
	case errors.Is(err, pipelines.ErrExecutionNotFound):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(run)
	}
}
