package db_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestConcurrentStarts checks that each step is applied once if many processes find an empty database.
func TestConcurrentStarts(t *testing.T) {
	t.Parallel()
	dbtest.EachEmpty(t, func(t *testing.T, url string) {
		handles := make([]*db.DB, 8)
		for i := range handles {
			handles[i] = dbtest.Open(t, url)
		}
		var wg sync.WaitGroup
		for _, d := range handles {
			wg.Go(func() {
				if err := errors.Join(d.Migrate(t.Context()), d.CheckSchema(t.Context())); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		steps := count(t, handles[0], `SELECT count(*) FROM {goose_db_version} WHERE version_id > 0`, nil)
		different := count(t, handles[0],
			`SELECT count(DISTINCT version_id) FROM {goose_db_version} WHERE version_id > 0`, nil)
		if steps == 0 || steps != different {
			t.Errorf("%d steps are noted as applied, of them %d different", steps, different)
		}
		s, err := handles[1].SchemaStatus(t.Context())
		if err != nil || s.Current != s.Newest || s.Newest != different || s.Err() != nil {
			t.Errorf("status %+v, expected the newest version of %d steps: %v", s, different, err)
		}
	})
}

func TestSchemaBehind(t *testing.T) {
	t.Parallel()
	dbtest.EachEmpty(t, func(t *testing.T, url string) {
		d := dbtest.Open(t, url)
		err := d.CheckSchema(t.Context())
		if !errors.Is(err, db.ErrSchemaOutdated) || !strings.Contains(err.Error(), "sluice migrate") {
			t.Errorf("an empty database gave %v, expected ErrBehind with the command to run", err)
		}
		if err := errors.Join(d.Migrate(t.Context()), d.CheckSchema(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

func TestSchemaAhead(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		mustExec(t, d, `INSERT INTO {goose_db_version} (version_id, is_applied) VALUES (9999, $yes)`,
			db.Args{"yes": true})
		for name, err := range map[string]error{
			"Migrate":     d.Migrate(t.Context()),
			"CheckSchema": d.CheckSchema(t.Context()),
		} {
			if !errors.Is(err, db.ErrSchemaTooNew) ||
				!strings.Contains(err.Error(), "install a sluice with schema version 9999 or newer") {
				t.Errorf("%s gave %v, expected ErrAhead with the version", name, err)
			}
		}
	})
}

// TestMigrateAgain checks that a second migration changes nothing.
func TestMigrateAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const applied = `SELECT count(*) FROM {goose_db_version}`
		before := count(t, d, applied, nil)
		if err := d.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := count(t, d, applied, nil); after != before {
			t.Errorf("%d steps before, %d after", before, after)
		}
	})
}

// TestSameTables checks that both databases have the same tables with the same columns.
func TestSameTables(t *testing.T) {
	t.Parallel()
	lite, pg := dbtest.SQLite(t), dbtest.Postgres(t)
	const liteColumns = `SELECT m.name || '.' || c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'goose_db_version'`
	const pgColumns = `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name <> 'goose_db_version'`
	inLite, inPG := names(t, lite, liteColumns), names(t, pg, pgColumns)
	for name := range inPG {
		if !inLite[name] {
			t.Errorf("SQLite has no %s", name)
		}
	}
	for name := range inLite {
		if !inPG[name] {
			t.Errorf("Postgres has no %s", name)
		}
	}
	if len(inPG) < 50 {
		t.Errorf("only %d columns were found", len(inPG))
	}
}

func names(t *testing.T, d *db.DB, query string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := d.Query(t.Context(), query, nil, func(scan db.Scan) error {
		var name string
		err := scan(&name)
		out[name] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
