package engine

import (
	"context"
	"fmt"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// StoredVersion is a stored version of a pipeline's definition, without its content.
type StoredVersion struct {
	Version      string      `json:"version"`
	RegisteredAt dbtype.Time `json:"registered_at"` // when it last became current; null: it was only run from a file
	Current      bool        `json:"current"`       // the version that `sluice start NAME` uses
}

// Versions returns the stored versions of a pipeline: first the registered ones, the newest first, then the others. The
// first is the current one if it is registered. The result is empty for an unknown pipeline.
func (r *Repository) Versions(ctx context.Context, name string) ([]StoredVersion, error) {
	var list []StoredVersion
	err := r.db.Query(ctx, `SELECT version, registered_at FROM {pipeline_definitions} WHERE pipeline_name = $name
ORDER BY CASE WHEN registered_at IS NULL THEN 1 ELSE 0 END, registered_at DESC, version`,
		db.Args{"name": name}, func(scan db.Scan) error {
			var v StoredVersion
			err := scan(&v.Version, &v.RegisteredAt)
			v.Current = len(list) == 0 && !v.RegisteredAt.IsZero()
			list = append(list, v)
			return err
		})
	return list, db.Wrap("list the versions of a pipeline", err)
}

// StoredDefinition returns a version of a pipeline's definition. It returns ErrDefinitionMissing if the version is not
// stored or this program cannot read it.
func (e *Engine) StoredDefinition(ctx context.Context, name, version string) (*definition.Definition, error) {
	var doc dbtype.JSON
	err := e.db.Query(ctx,
		`SELECT definition FROM {pipeline_definitions} WHERE pipeline_name = $name AND version = $version`,
		db.Args{"name": name, "version": version}, func(scan db.Scan) error { return scan(&doc) })
	switch {
	case err != nil:
		return nil, db.Wrap("read the definition", err)
	case doc == nil:
		return nil, fmt.Errorf("%w: %s version %s is not stored", pipelines.ErrDefinitionMissing, name, version)
	}
	def, err := decodeStored(doc, name, version)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", pipelines.ErrDefinitionMissing, err)
	}
	return def, nil
}
