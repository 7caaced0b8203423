package dbtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sluiceworks/sluice/platform/db"
)

func TestEachRunsBothAlone(t *testing.T) {
	seen := map[string]string{}
	t.Run("databases", func(t *testing.T) {
		results := make(chan [2]string, 4)
		t.Cleanup(func() {
			close(results)
			for r := range results {
				seen[r[0]] = r[1]
			}
		})
		Each(t, func(t *testing.T, d *db.DB) {
			if err := d.CheckSchema(t.Context()); err != nil {
				t.Error(err)
			}
			results <- [2]string{d.Backend(), d.URL()}
		})
		Each(t, func(t *testing.T, d *db.DB) { results <- [2]string{d.Backend() + " again", d.URL()} })
	})
	if len(seen) != 4 {
		t.Fatalf("Each ran on %v, expected each database twice", seen)
	}
	if seen["sqlite"] == seen["sqlite again"] || seen["postgres"] == seen["postgres again"] {
		t.Errorf("two tests shared a database: %v", seen)
	}
}

// TestDatabaseIsDropped leaves a connection open, as a killed program does.
func TestDatabaseIsDropped(t *testing.T) {
	var url string
	t.Run("uses one", func(t *testing.T) {
		url = PostgresURL(t)
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	conn, err := pgx.Connect(t.Context(), url)
	if err == nil {
		t.Errorf("the database %s is still there: %v", url, conn.Close(context.Background()))
	}
}

func TestTemplateIsMadeOnce(t *testing.T) {
	first, err := template()
	if err != nil {
		t.Fatal(err)
	}
	again, err := makeTemplate(t.Context(), ServerURL(t))
	if err != nil || again != first {
		t.Errorf("second making gave %q, %v; expected %q", again, err, first)
	}
}
