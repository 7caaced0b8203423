package dbtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
)

// Fault is a write that the database refuses. It uses triggers, so that the program under test needs no hook for it.
type Fault struct {
	Table    string // without its schema
	On       string // INSERT, UPDATE or DELETE
	When     string // condition on the NEW and the OLD row; empty: every row
	AtCommit bool   // allow the write, and refuse the commit of its transaction
}

func (f Fault) String() string {
	at := "at once"
	if f.AtCommit {
		at = "at commit"
	}
	return strings.TrimSpace(fmt.Sprintf("%s of %s refused %s %s", f.On, f.Table, at, f.When))
}

const injected = "injected fault"

// Injected reports whether an error comes from a Fault. No table has a foreign key, so a violated one in SQLite comes
// from a Fault.
func Injected(err error) bool {
	return err != nil &&
		(strings.Contains(err.Error(), injected) || strings.Contains(err.Error(), "FOREIGN KEY constraint failed"))
}

// Inject adds a fault to the default tenant, and returns a function that removes it. Only one fault may exist at a
// time.
func Inject(t testing.TB, d *db.DB, f Fault) (heal func()) {
	t.Helper()
	when := ""
	if f.When != "" {
		when = " WHEN (" + f.When + ")"
	}
	put, remove := f.sqlite(when)
	if d.Backend() == "postgres" {
		put, remove = f.postgres(when)
	}
	Exec(t, d, put...)
	return func() {
		t.Helper()
		Exec(t, d, remove...)
	}
}

func (f Fault) postgres(when string) (put, remove []string) {
	kind, moment, deferred := "TRIGGER", "BEFORE", ""
	if f.AtCommit {
		kind, moment, deferred = "CONSTRAINT TRIGGER", "AFTER", " DEFERRABLE INITIALLY DEFERRED"
	}
	return []string{
			`CREATE FUNCTION {injected_fault}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''` +
				injected + `''; END'`,
			`CREATE ` + kind + ` injected_fault ` + moment + ` ` + f.On + ` ON {` + f.Table + `}` + deferred +
				` FOR EACH ROW` + when +
				` EXECUTE FUNCTION {injected_fault}()`,
		},
		[]string{`DROP FUNCTION {injected_fault}() CASCADE`}
}

// sqlite uses a row that violates a deferred foreign key to make a commit fail, because SQLite has no trigger at
// commit.
func (f Fault) sqlite(when string) (put, remove []string) {
	moment, body := "BEFORE", `SELECT RAISE(ABORT, '`+injected+`')`
	remove = []string{`DROP TRIGGER {injected_fault}`}
	if f.AtCommit {
		put = []string{
			`CREATE TABLE {injected_parent} (id integer PRIMARY KEY)`,
			`CREATE TABLE {injected_child} (id integer REFERENCES injected_parent DEFERRABLE INITIALLY DEFERRED)`,
		}
		moment, body = "AFTER", `INSERT INTO injected_child VALUES (1)`
		remove = append(remove, `DROP TABLE {injected_child}`, `DROP TABLE {injected_parent}`)
	}
	put = append(put, `CREATE TRIGGER {injected_fault} `+moment+` `+f.On+` ON {`+f.Table+`}`+when+` BEGIN `+body+
		`; END`)
	return put, remove
}

// Exec runs statements in one transaction of the default tenant; see db.Args for their syntax.
func Exec(t testing.TB, d *db.DB, statements ...string) {
	t.Helper()
	err := d.Transaction(t.Context(), func(tx db.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(s, nil); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Dump returns every row of every table of the default tenant as text, sorted, by table.
func Dump(t testing.TB, d *db.DB) map[string][]string {
	t.Helper()
	g, err := d.Read(t.Context(), "workers")
	if err != nil {
		t.Fatal(err)
	}
	list := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	if d.Backend() == "postgres" {
		list = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'
  AND table_type = 'BASE TABLE'`
	}
	var tables []string
	if err := g.Raw(list).Scan(&tables).Error; err != nil {
		t.Fatal("list tables: ", err)
	}
	if len(tables) == 0 {
		t.Fatal("the database has no tables")
	}
	out := make(map[string][]string, len(tables))
	for _, table := range tables {
		out[table] = dumpTable(t, d, table)
	}
	return out
}

func dumpTable(t testing.TB, d *db.DB, table string) []string {
	t.Helper()
	g, err := d.Read(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	if err := g.Find(&rows).Error; err != nil {
		t.Fatalf("read %s: %v", table, err)
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		lines[i] = fmt.Sprintf("%v", row) // fmt sorts the keys of a map
	}
	slices.Sort(lines)
	return lines
}
