package pipelines

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/db"
)

// errDefinitionGone is a pinned definition that is not stored, or that this binary can't read.
var errDefinitionGone = errors.New("definition gone")

// Registered is a stored version of a definition.
type Registered struct {
	PipelineName string  `json:"pipeline_name"`
	Version      string  `json:"version"`
	Definition   db.JSON `json:"definition"`
	RegisteredAt db.Time `json:"registered_at"` // of the newest registration; null for one that was only run from a file
}

// TableName puts the table into the tenant's schema.
func (Registered) TableName(n schema.Namer) string { return n.TableName("pipeline_definitions") }

// definitions stores definitions by version, so that a run keeps the one it started with. Read ones are kept in memory: a version
// is a hash of its content and never changes.
type definitions struct {
	db    *db.DB
	mu    sync.Mutex
	known map[string]*definition.Definition // by tenant, name and version
}

// mostKnown bounds the memory: past it the cache starts anew.
const mostKnown = 1000

func newDefinitions(d *db.DB) *definitions {
	return &definitions{db: d, known: map[string]*definition.Definition{}}
}

func (s *definitions) remember(key string, def *definition.Definition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= mostKnown {
		clear(s.known)
	}
	s.known[key] = def
}

func cacheKey(ctx context.Context, name, version string) string {
	return db.TenantOf(ctx) + "/" + name + "/" + version
}

// save stores a definition and gives its version. newest makes it what `start NAME` takes.
func (s *definitions) save(tx db.Tx, def *definition.Definition, newest bool) (string, error) {
	doc, version, err := def.Encode()
	if err != nil {
		return "", fmt.Errorf("encode the definition of %q: %w", def.Name, err)
	}
	conflict, at := "NOTHING", db.Time{}
	if newest {
		conflict, at = "UPDATE SET registered_at = excluded.registered_at", tx.Now
	}
	return version, tx.Later("store the definition", `INSERT INTO {pipeline_definitions} (pipeline_name, version, definition, registered_at)
VALUES ($name, $version, $doc, $at) ON CONFLICT (pipeline_name, version) DO `+conflict+` $keep_plan`,
		db.Args{"name": def.Name, "version": version, "doc": db.JSON(doc), "at": at})
}

// find gives the definition that a run pinned. It fails with errDefinitionGone.
func (s *definitions) find(ctx context.Context, tx db.Tx, name, version string) (*definition.Definition, error) {
	key := cacheKey(ctx, name, version)
	s.mu.Lock()
	def := s.known[key]
	s.mu.Unlock()
	if def != nil {
		return def, nil
	}
	var doc db.JSON
	err := tx.Query(`SELECT definition FROM {pipeline_definitions} WHERE pipeline_name = $name AND version = $version`,
		db.Args{"name": name, "version": version}, func(scan func(...any) error) error { return scan(&doc) })
	if err != nil {
		return nil, wrap("read the definition", err)
	}
	if doc == nil {
		return nil, fmt.Errorf("%w: %s version %s is not stored", errDefinitionGone, name, version)
	}
	def, err = definition.Decode(doc)
	if err != nil {
		return nil, fmt.Errorf("%w: %s version %s: %w", errDefinitionGone, name, version, err)
	}
	s.remember(key, def)
	return def, nil
}

// latest gives the newest registered definition of a pipeline.
func (s *definitions) latest(ctx context.Context, name string) (Registered, error) {
	q, err := s.db.Read(ctx)
	if err != nil {
		return Registered{}, err
	}
	var r Registered
	err = q.Where("pipeline_name = ? AND registered_at IS NOT NULL", name).Order("registered_at DESC").Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Registered{}, fmt.Errorf("%w: %q is not registered: name a file, or run `sluice serve --pipelines DIR` with it", ErrUnknown, name)
	}
	return r, wrap("read the definition", err)
}
