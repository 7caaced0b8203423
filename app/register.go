package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/db"
)

// folderPollInterval is the time between two scans of the files of --pipelines. Scanning is simpler than notifications.
// It also works on network file systems, in containers and for files that are replaced through links, where
// notifications do not.
const folderPollInterval = 2 * time.Second

// registrar registers the definitions of a process for each tenant that it serves, and again when their files change.
type registrar struct {
	engine *engine.Engine
	log    *zap.Logger
	folder *folder // nil: none

	mu      sync.Mutex
	list    []offered
	tenants map[string]*registered
}

// registered is what has been registered for a tenant.
type registered struct {
	defs    map[string]*definition.Definition // by name
	served  bool
	failing string // the last error, as already logged
}

// newRegistrar reads the definitions to register: those of the extensions, and those of a directory if dir is set.
func newRegistrar(s Sources, dir string, log *zap.Logger) (*registrar, error) {
	r := &registrar{engine: s.Engine, log: log, tenants: map[string]*registered{}}
	program := programFile()
	for _, name := range s.Extensions.Names() {
		def, _ := s.Extensions.Definition(name)
		r.list = append(r.list, offered{def, program})
	}
	if dir == "" {
		return r, nil
	}
	reserved := func(name string) bool {
		_, taken := s.Extensions.Definition(name)
		return taken
	}
	r.folder = newFolder(dir, s.Handlers, reserved, log)
	if err := r.folder.scan(true); err != nil {
		return nil, fileError(err)
	}
	r.list = append(r.list, r.folder.offers()...)
	return r, nil
}

// programFile returns the file that the extensions' definitions come from, or nil if it cannot be found.
func programFile() fs.FileInfo {
	path, err := os.Executable()
	if err != nil {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return info
}

func (r *registrar) count() int { return len(r.offers()) }

func (r *registrar) offers() []offered {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}

// prepare registers all definitions for the context's tenant again.
func (r *registrar) prepare(ctx context.Context) error {
	given := &registered{defs: map[string]*definition.Definition{}}
	if err := r.register(ctx, given); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tenants[db.TenantOf(ctx)] = given
	return nil
}

func (r *registrar) begin(tenant string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tenants[tenant].served = true
}

func (r *registrar) end(tenant string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tenants, tenant)
}

func (r *registrar) register(ctx context.Context, given *registered) error {
	for _, o := range r.offers() {
		if given.defs[o.def.Name] == o.def {
			continue
		}
		var modified time.Time
		if o.from != nil {
			modified = o.from.ModTime()
		}
		did, err := r.engine.Register(ctx, o.def, modified)
		if err != nil {
			return fmt.Errorf("register %q: %w", o.def.Name, err)
		}
		given.defs[o.def.Name] = o.def
		log := r.log.With(zap.String("tenant", db.TenantOf(ctx)), zap.String("pipeline", o.def.Name))
		switch {
		case did.Kept:
			log.Warn(fmt.Sprintf("definition of %s: this folder has an older version (%s); keeping the newer one (%s)",
				o.def.Name, did.Version, did.Before),
				zap.String("hint", "to go back to the older one on purpose, touch its file"))
		case did.Changed() && did.Before == "":
			log.Info("definition registered", zap.String("to", did.Version))
		case did.Changed():
			log.Info("definition changed", zap.String("from", did.Before), zap.String("to", did.Version))
		}
	}
	return nil
}

// start starts watching the directory. stop ends that and waits.
func (r *registrar) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() { r.watch(ctx) })
	return func() {
		cancel()
		ended.Wait()
	}
}

// watch scans the directory until the context ends, and registers changes for each served tenant.
func (r *registrar) watch(ctx context.Context) {
	if r.folder == nil {
		return
	}
	tick := time.NewTicker(folderPollInterval)
	defer tick.Stop()
	away := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := r.scan(); err != nil {
			if away != err.Error() {
				r.log.Warn("the folder of pipelines cannot be read: what was registered stays", zap.Error(err))
			}
			away = err.Error()
			continue
		}
		away = ""
		for tenant, given := range r.served() {
			r.renew(db.WithTenant(ctx, tenant), given)
		}
	}
}

// scan reads the directory's current definitions. Definitions of the program come first and stay.
func (r *registrar) scan() error {
	if err := r.folder.scan(false); err != nil {
		return err
	}
	found := r.folder.offers()
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []offered
	for _, o := range r.list {
		if r.folder.reserved(o.def.Name) {
			list = append(list, o)
		}
	}
	r.list = append(list, found...)
	return nil
}

func (r *registrar) served() map[string]*registered {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := map[string]*registered{}
	for name, given := range r.tenants {
		if given.served {
			list[name] = given
		}
	}
	return list
}

// renew registers what has changed. What fails is tried again after the next scan.
func (r *registrar) renew(ctx context.Context, given *registered) {
	err := r.register(ctx, given)
	switch {
	case err == nil:
		given.failing = ""
	case ctx.Err() != nil || errors.Is(err, db.ErrTenantNotFound): // the process stops, or the fleet reports it
	case given.failing != err.Error():
		given.failing = err.Error()
		r.log.Warn("registering a changed definition failed, trying again", zap.String("tenant", db.TenantOf(ctx)),
			zap.Error(err))
	}
}
