package db

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestClockIgnoresThisMachine checks that a database that is an hour ahead of this machine stays an hour ahead.
func TestClockIgnoresThisMachine(t *testing.T) {
	t.Parallel()
	anchor := time.Now()
	base := anchor.Add(time.Hour)
	var c clock
	c.set(base, anchor)
	passed := c.now().Sub(base)
	if most := time.Since(anchor); passed < -time.Microsecond || passed > most {
		t.Errorf("the clock moved by %v since it was read, expected between 0 and %v", passed, most)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	set := NewRowSet(2).Ints("n", []int64{1, 2}).NullTexts("t", []string{"a", ""})
	for _, test := range []struct {
		name, statement string
		args            Args
		sqlite, postgre string
		values          int
	}{
		{"plain", `SELECT 1`, nil, `SELECT 1`, `SELECT 1`, 0},
		{
			"tables", `SELECT * FROM {a} JOIN {b}`, nil, `SELECT * FROM "a" JOIN "b"`,
			`SELECT * FROM "acme"."a" JOIN "acme"."b"`, 0,
		},
		{
			"a value used twice", `SELECT $x, $y, $x`,
			Args{"x": 1, "y": "s"},
			`SELECT ?, ?, ?`,
			`SELECT $1::bigint, $2::text, $1::bigint`, 0,
		},
		{
			"locks", `SELECT 1 $for_update $skip_locked`, nil, `SELECT 1  `,
			`SELECT 1 FOR UPDATE FOR UPDATE SKIP LOCKED`,
			0,
		},
		{
			"set between values", `SELECT $x FROM $s WHERE $y`,
			Args{"x": true, "y": 0.5, "s": set},
			`SELECT ? FROM (SELECT +column1 AS n, +column2 AS t FROM (VALUES (?,?),(?,?))) AS s WHERE ?`,
			`SELECT $1::boolean FROM (SELECT c0 AS n, NULLIF(c1, '') AS t FROM unnest($2::bigint[], $3::text[]) ` +
				`AS u(c0, c1)) AS s WHERE $4::double precision`, 0,
		},
	} {
		for d, want := range map[dialect]string{&sqlite{}: test.sqlite, &postgres{}: test.postgre} {
			got, values, err := render(d, "acme", test.statement, test.args)
			if err != nil || (test.values > 0 && len(values) != test.values) {
				t.Errorf("%s: %d values, expected %d: %v", test.name, len(values), test.values, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
	}
}

// TestRenderRefuses checks that render refuses what the layers below would read as placeholders.
func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	for _, statement := range []string{
		`SELECT '?'`, `SELECT '@x'`, `SELECT $absent`, `SELECT {open`, `SELECT '{}'`,
		`DO $$ $$`,
	} {
		if _, _, err := render(&sqlite{}, DefaultTenant, statement, nil); !errors.Is(err, errStatement) {
			t.Errorf("%s: %v, expected that it is refused", statement, err)
		}
	}
}

func TestMaxRows(t *testing.T) {
	t.Parallel()
	wide := NewRowSet(1)
	for range 100 {
		wide.Ints("n", []int64{1})
	}
	for _, left := range []int{1, 2, 3, 255, 256, 257, 100000} {
		n := (&sqlite{}).maxRows(wide, left)
		if n < 1 || n > left || n*100 > 32766 {
			t.Errorf("%d of %d rows of 100 columns, expected no more than 32,766 values", n, left)
		}
		if n&(n-1) != 0 {
			t.Errorf("%d of %d rows, expected a power of two", n, left)
		}
	}
}

func TestTenantFiles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ path, tenant, want string }{
		{"/d/sluice.db", DefaultTenant, "/d/sluice.db"},
		{"/d/sluice.db", "acme", "/d/sluice.acme.db"},
		{"/d.x/sluice", "acme", "/d.x/sluice.acme"},
	} {
		if got := (&sqlite{path: test.path}).file(test.tenant); got != test.want {
			t.Errorf("%s of %s is %s, expected %s", test.tenant, test.path, got, test.want)
		}
	}
}
