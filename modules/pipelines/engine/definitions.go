package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// StoredDefinition is one stored version of a definition.
type StoredDefinition struct {
	PipelineName string      `json:"pipeline_name"`
	Version      string      `json:"version"`
	Definition   dbtype.JSON `json:"definition"`
	RegisteredAt dbtype.Time `json:"registered_at"` // of the last registration; null if it was only run from a file
}

var storedDefinitions = db.ModelOf[StoredDefinition]("pipeline_definitions")

// definitions stores definitions by version, so that a run keeps the version that it started with. It caches them in
// memory. A cached definition cannot become stale, because the version is a hash of the content.
type definitions struct {
	db *db.DB
	mu sync.Mutex
	// by tenant, name and version: stored definitions that match their versions
	cached  map[string]known
	encoded map[*definition.Definition]encoded // cache of encoded definitions, for repeated starts
}

type known struct {
	def *definition.Definition
	sum [sha256.Size]byte // of the canonical JSON
}

type encoded struct {
	doc     []byte
	version string
	sum     [sha256.Size]byte
}

// Maximum numbers of entries of the caches. A cache that is full is cleared.
const (
	maxDefinitions = 1000
	maxEncoded     = 100
)

func newDefinitions(d *db.DB) *definitions {
	return &definitions{db: d, cached: map[string]known{}, encoded: map[*definition.Definition]encoded{}}
}

func (s *definitions) remember(key string, def *definition.Definition, sum [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cached) >= maxDefinitions {
		clear(s.cached)
	}
	s.cached[key] = known{def, sum}
}

func (s *definitions) recall(key string) (known, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.cached[key]
	return k, ok
}

func (s *definitions) encode(def *definition.Definition) (encoded, error) {
	s.mu.Lock()
	e, ok := s.encoded[def]
	s.mu.Unlock()
	if ok {
		return e, nil
	}
	doc, version, err := def.Encode()
	if err != nil {
		return e, fmt.Errorf("encode the definition of %q: %w", def.Name, err)
	}
	e = encoded{doc: doc, version: version}
	if e.sum, err = contentSum(doc); err != nil {
		return e, fmt.Errorf("encode the definition of %q: %w", def.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.encoded) >= maxEncoded {
		clear(s.encoded)
	}
	s.encoded[def] = e
	return e, nil
}

func contentSum(doc []byte) ([sha256.Size]byte, error) {
	canonical, err := dbtype.JSON(doc).Canonical()
	return sha256.Sum256(canonical), err
}

func cacheKey(ctx context.Context, name, version string) string {
	return db.TenantOf(ctx) + "/" + name + "/" + version
}

// save stores a definition and sets its registration time, unless that is zero. The definition registered last is the
// current one of its name. save returns ErrDefinitionChanged if other content is stored under that version.
func (s *definitions) save(
	ctx context.Context, b *db.Batch, def *definition.Definition, e encoded, registered dbtype.Time,
) error {
	conflict := "NOTHING"
	if !registered.IsZero() {
		conflict = "UPDATE SET registered_at = excluded.registered_at"
	}
	statement, args := storedDefinitions.InsertSQL([]*StoredDefinition{{
		PipelineName: def.Name, Version: e.version, Definition: e.doc, RegisteredAt: registered,
	}})
	b.Exec("store the definition", statement+` ON CONFLICT (pipeline_name, version) DO `+conflict+` $keep_plan`, args)
	return s.confirm(ctx, b, def, e)
}

// pin stores the definition of a run, without registering it, and returns its version.
func (s *definitions) pin(ctx context.Context, b *db.Batch, def *definition.Definition) (string, error) {
	e, err := s.encode(def)
	if err != nil {
		return "", err
	}
	return e.version, s.save(ctx, b, def, e, dbtype.Time{})
}

// confirm returns ErrDefinitionChanged if the content stored under a version is not this definition, because it was
// changed by hand or has the same hash. Each process checks a version once.
func (s *definitions) confirm(ctx context.Context, b *db.Batch, def *definition.Definition, e encoded) error {
	k, ok := s.recall(cacheKey(ctx, def.Name, e.version))
	if !ok {
		if err := b.Send(); err != nil {
			return err
		}
		doc, err := s.read(b.Tx(), def.Name, e.version)
		if err != nil {
			return err
		}
		if k.sum, err = contentSum(doc); err != nil {
			return fmt.Errorf("%w: %s version %s: %w", pipelines.ErrDefinitionChanged, def.Name, e.version, err)
		}
	}
	switch {
	case k.sum != e.sum:
		return fmt.Errorf("%w: %s version %s was changed by hand, or two definitions have the same hash",
			pipelines.ErrDefinitionChanged, def.Name, e.version)
	case !ok:
		s.remember(cacheKey(ctx, def.Name, e.version), def, e.sum)
	}
	return nil
}

func (s *definitions) read(tx db.Tx, name, version string) (doc dbtype.JSON, err error) {
	err = tx.Query(`SELECT definition FROM {pipeline_definitions} WHERE pipeline_name = $name AND version = $version`,
		db.Args{"name": name, "version": version}, func(scan db.Scan) error { return scan(&doc) })
	return doc, db.Wrap("read the definition", err)
}

// find returns the definition that a run pinned. It returns ErrDefinitionMissing if the definition is not stored or
// cannot be read.
func (s *definitions) find(ctx context.Context, tx db.Tx, name, version string) (*definition.Definition, error) {
	key := cacheKey(ctx, name, version)
	if k, ok := s.recall(key); ok {
		return k.def, nil
	}
	doc, err := s.read(tx, name, version)
	if err != nil {
		return nil, err
	}
	if doc == nil {
		return nil, fmt.Errorf("%w: %s version %s is not stored", pipelines.ErrDefinitionMissing, name, version)
	}
	def, err := decodeStored(doc, name, version)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", pipelines.ErrDefinitionMissing, err)
	}
	sum, err := contentSum(doc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", pipelines.ErrDefinitionMissing, err)
	}
	s.remember(key, def, sum)
	return def, nil
}

// decodeStored decodes a stored definition. It returns ErrDefinitionChanged if the content does not match the version
// or the name.
func decodeStored(doc dbtype.JSON, name, version string) (*definition.Definition, error) {
	if !definition.HasVersion(doc, version) {
		return nil, fmt.Errorf("%w: %s version %s", pipelines.ErrDefinitionChanged, name, version)
	}
	def, err := definition.Decode(doc)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s version %s: %w", name, version, err)
	case def.Name != name:
		return nil, fmt.Errorf("%w: %s version %s is a definition of %q", pipelines.ErrDefinitionChanged, name, version,
			def.Name)
	}
	return def, nil
}

// latest returns the definition of a pipeline that was registered last. It returns ErrPipelineNotFound if there is
// none.
func (s *definitions) latest(ctx context.Context, name string) (StoredDefinition, error) {
	q, err := s.db.Read(ctx, "pipeline_definitions")
	if err != nil {
		return StoredDefinition{}, err
	}
	var r StoredDefinition
	err = q.Where("pipeline_name = ? AND registered_at IS NOT NULL", name).Order("registered_at DESC").Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return StoredDefinition{},
			fmt.Errorf("%w: %q is not registered: name a file, or run `sluice serve --pipelines DIR` with it",
				pipelines.ErrPipelineNotFound, name)
	}
	return r, db.Wrap("read the definition", err)
}
