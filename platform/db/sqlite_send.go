package db

import (
	"context"
	"sync"

	"gorm.io/gorm"
)

// transaction runs fn in a transaction, on whose large statements SQLite works while fn puts the next together: there is one
// writer, so all that others wait for is how long it takes.
func (l *sqlite) transaction(on *gorm.DB, fn func(*gorm.DB, sender) error) error {
	return on.Transaction(func(g *gorm.DB) error {
		s := &ahead{on: g.Statement.ConnPool}
		defer s.wait()
		return fn(g, s)
	})
}

// ahead runs statements one by one, in their order, on one connection: those that were begun in a goroutine, the others where
// they are waited for.
type ahead struct {
	on gorm.ConnPool

	mu   sync.Mutex
	list []queued
	idle chan struct{} // closed when the goroutine ends; nil: there has been none
	err  error         // of the first statement that failed: none is run after it
}

func (a *ahead) begin(ctx context.Context, list []queued) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	busy := len(a.list) > 0
	a.list = append(a.list, list...)
	if !busy {
		before := a.idle
		a.idle = make(chan struct{})
		go a.work(ctx, before, a.idle)
	}
	return true
}

// work runs what was begun, after an earlier goroutine has ended.
func (a *ahead) work(ctx context.Context, before, idle chan struct{}) {
	defer close(idle)
	if before != nil {
		<-before
	}
	for {
		a.mu.Lock()
		list := a.list
		a.list = nil
		a.mu.Unlock()
		if len(list) == 0 {
			return
		}
		a.run(ctx, list)
	}
}

// run heeds the end of ctx between statements: the driver would watch over each of them from another goroutine.
func (a *ahead) run(ctx context.Context, list []queued) {
	for i := range list {
		if a.err != nil {
			return
		}
		err := ctx.Err()
		if err == nil {
			err = list[i].run(context.WithoutCancel(ctx), a.on)
		}
		if err != nil {
			a.err = list[i].fail(err)
		}
	}
}

// wait returns when nothing runs.
func (a *ahead) wait() {
	a.mu.Lock()
	idle := a.idle
	a.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

func (a *ahead) send(ctx context.Context, list []queued) error {
	a.wait()
	a.run(ctx, list)
	return a.err
}
