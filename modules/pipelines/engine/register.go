package engine

import (
	"context"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Registration is the result of registering a definition.
type Registration struct {
	Version string // version of the definition
	Before  string // the previous current version; empty: none
	// Before is still current, because the definition is an older version and was not modified since
	Kept bool
}

// Changed reports whether the registration changed the current version.
func (r Registration) Changed() bool { return !r.Kept && r.Before != r.Version }

// Register stores a definition and makes it the current version of its pipeline, which `sluice start NAME` uses.
// modified is when the source was last written. If the definition was current before and has been replaced, it becomes
// current again only if modified is after the registration of the current version. A worker that restarts with an old
// file therefore does not replace a newer definition. Register returns ErrDefinitionChanged if other content is stored
// under the version.
func (e *Engine) Register(
	ctx context.Context, def *definition.Definition, modified time.Time,
) (r Registration, err error) {
	err = e.db.Write(ctx, func(b *db.Batch) error {
		r, err = e.definitions.register(ctx, b, def, modified)
		return err
	})
	return r, err
}

func (s *definitions) register(
	ctx context.Context, b *db.Batch, def *definition.Definition, modified time.Time,
) (r Registration, err error) {
	e, err := s.encode(def)
	if err != nil {
		return r, err
	}
	r.Version = e.version
	tx := b.Tx()
	at, former := tx.Now, false
	err = tx.Query(`SELECT version, registered_at FROM {pipeline_definitions} WHERE pipeline_name = $name
  AND registered_at IS NOT NULL ORDER BY registered_at`,
		db.Args{"name": def.Name}, func(scan db.Scan) error {
			former = former || r.Before == e.version
			return scan(&r.Before, &at)
		})
	if err != nil {
		return r, db.Wrap("read the versions of the definition", err)
	}
	switch {
	case r.Before == e.version:
		return r, s.confirm(ctx, b, def, e)
	case former && !modified.After(at.Time):
		r.Kept = true
		return r, nil
	case r.Before != "" && !tx.Now.After(at.Time): // the database's clock was set back
		at = dbtype.Time{Time: at.Add(time.Microsecond)}
	default:
		at = tx.Now
	}
	return r, s.save(ctx, b, def, e, at)
}
