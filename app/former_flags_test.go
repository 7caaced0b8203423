package app_test

import (
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestFormerFlags checks that former names of flags, variables, settings and values are accepted, that mistakes are
// reported as for the present names, and that the help shows only these. It does not run in parallel, because the
// environment belongs to the process.
func TestFormerFlags(t *testing.T) {
	p := &program{url: dbtest.SQLiteURL(t)}
	id := p.start(t, "../examples/first.yaml")
	p.ok(t, "verify", "--max-breaches", "3")
	p.ok(t, "outbox", "--remove-stray")
	p.ok(t, "show", id, "--timeline", "telling")
	p.fails(t, 2, []string{`"many"`, "max-violations", "expected a whole number"}, "verify", "--max-breaches", "many")
	p.fails(t, 2, []string{"expected one of summary, all, none"}, "show", id, "--timeline", "everything")
	if help := p.ok(t, "verify", "--help"); strings.Contains(help, "max-breaches") ||
		!strings.Contains(help, "--max-violations") {
		t.Errorf("the help is\n%s", help)
	}
	config := file(t, "settings.yaml", "max-breaches: many\n")
	p.fails(t, 2, []string{config + `:1:15: max-breaches: "many": expected a whole number`}, "verify", "--config",
		config)
	twice := file(t, "twice.yaml", "max-breaches: 1\nmax-violations: 2\n")
	p.fails(t, 2, []string{twice + `:2:1: "max-violations" is set twice`}, "verify", "--config", twice)
	t.Setenv("SLUICE_MAX_BREACHES", "several")
	p.fails(t, 2, []string{`SLUICE_MAX_BREACHES: "several": expected a whole number`}, "verify")
	t.Setenv("SLUICE_MAX_VIOLATIONS", "1")
	p.ok(t, "verify")
}
