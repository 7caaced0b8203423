package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// perPage is the number of executions that are read in one snapshot. Rows are written as they are read, so memory
// does not grow with the number of rows. It is a power of two, so that one statement covers a whole page on either
// database.
const perPage = 64

// Archive exports from and imports into one database, for one tenant per call.
type Archive struct {
	db *db.DB
}

// New returns an Archive for a database.
func New(d *db.DB) *Archive { return &Archive{d} }

// Selection selects the executions to export.
type Selection struct {
	IDs      []dbtype.ID  // only these; all if empty
	Since    dbtype.Time  // only those that are open, or were created or ended at or after this time; zero for all
	Ended    bool         // only ended ones
	Progress func(Counts) // called after each page; may be nil
}

// Export writes the chosen executions and their definitions as JSON Lines. Each page of executions is read in its own
// snapshot, so each execution is consistent. The same executions produce the same bytes on either database.
func (a *Archive) Export(ctx context.Context, c Selection, out io.Writer) (Counts, error) {
	w := newWriter(out)
	if err := w.write(header{FormatVersion}); err != nil {
		return w.counts(), err
	}
	if len(c.IDs) == 0 {
		if err := w.definitions(ctx, a.db, nil); err != nil {
			return w.counts(), err
		}
	}
	err := a.pages(ctx, c, func(ctx context.Context, ids []dbtype.ID) error {
		if err := w.page(ctx, a.db, ids); err != nil {
			return err
		}
		if c.Progress != nil {
			c.Progress(w.counts())
		}
		return nil
	})
	if err != nil {
		return w.counts(), err
	}
	return w.counts(), w.close()
}

// pages calls page with the chosen executions, at most perPage at a time, in the order of their ids.
func (a *Archive) pages(ctx context.Context, c Selection, page func(ctx context.Context, ids []dbtype.ID) error) error {
	if len(c.IDs) > 0 {
		return a.named(ctx, c.IDs, page)
	}
	where := "1 = 1"
	if c.Ended {
		where = "status IN ('Completed', 'Failed', 'Cancelled')"
	}
	if !c.Since.IsZero() {
		where += " AND (status IN ('Running', 'Paused') OR completed_at >= $since OR created_at >= $since)"
	}
	var after dbtype.ID
	for more := true; more; {
		err := a.db.Snapshot(ctx, func(ctx context.Context) error {
			beyond := ""
			if !after.IsZero() {
				beyond = " AND id > $after"
			}
			ids, err := a.ids(ctx, `SELECT id FROM {pipeline_executions} WHERE `+where+beyond+
				` ORDER BY id LIMIT $limit`,
				db.Args{"since": c.Since, "after": after, "limit": perPage})
			if more = len(ids) == perPage; err != nil || len(ids) == 0 {
				return err
			}
			after = ids[len(ids)-1]
			return page(ctx, ids)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// named is pages for a list of ids. It fails with pipelines.ErrExecutionNotFound if one does not exist.
func (a *Archive) named(
	ctx context.Context, ids []dbtype.ID, page func(ctx context.Context, ids []dbtype.ID) error,
) error {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, compareIDs)
	ids = slices.Compact(ids)
	for part := range slices.Chunk(ids, perPage) {
		err := a.db.Snapshot(ctx, func(ctx context.Context) error {
			found, err := a.ids(ctx, `SELECT p.id FROM $x JOIN {pipeline_executions} AS p ON p.id = x.id`,
				db.Args{"x": db.IDRows(part)})
			if err != nil {
				return err
			}
			for _, id := range part {
				if !slices.Contains(found, id) {
					return fmt.Errorf("%w: %s", pipelines.ErrExecutionNotFound, id)
				}
			}
			return page(ctx, part)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Archive) ids(ctx context.Context, statement string, args db.Args) (ids []dbtype.ID, err error) {
	err = a.db.Query(ctx, statement, args, func(scan db.Scan) error {
		ids = append(ids, dbtype.ID{})
		return scan(&ids[len(ids)-1])
	})
	if err != nil {
		return nil, fmt.Errorf("choose executions: %w", err)
	}
	return ids, nil
}

func compareIDs(a, b dbtype.ID) int { return bytes.Compare(a[:], b[:]) }

// definitions writes the definitions that are not yet in the file: those of the given executions, or all if ids is
// empty.
func (w *writer) definitions(ctx context.Context, d *db.DB, ids []dbtype.ID) error {
	var list []engine.StoredDefinition
	among, args := "", db.Args{}
	if len(ids) > 0 {
		among = ` WHERE EXISTS (SELECT 1 FROM {pipeline_executions} AS p WHERE p.pipeline_name = d.pipeline_name
  AND p.definition_version = d.version
  AND p.id IN (SELECT id FROM $x))`
		args["x"] = db.IDRows(ids)
	}
	err := d.Query(ctx, `SELECT `+definitionTable.Columns("d")+` FROM {pipeline_definitions} AS d`+among, args,
		func(scan db.Scan) error {
			var d engine.StoredDefinition
			err := definitionTable.Scan(&d, scan)
			if key := d.PipelineName + "/" + d.Version; !w.known[key] {
				w.known[key] = true
				list = append(list, d)
			}
			return err
		})
	if err != nil {
		return fmt.Errorf("read definitions: %w", err)
	}
	slices.SortFunc(list, func(a, b engine.StoredDefinition) int { // databases collate text differently
		return strings.Compare(a.PipelineName+"/"+a.Version, b.PipelineName+"/"+b.Version)
	})
	for i := range list {
		if err := canonical(&list[i].Definition); err != nil {
			return err
		}
		if err := w.line(&line{Definition: &list[i]}); err != nil {
			return err
		}
	}
	return nil
}

func canonical(docs ...*dbtype.JSON) error {
	for _, d := range docs {
		c, err := d.Canonical()
		if err != nil {
			return err
		}
		*d = c
	}
	return nil
}

// encoder returns a JSON encoder that does not escape HTML.
func encoder(out io.Writer) *json.Encoder {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e
}
