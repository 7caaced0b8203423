//go:build !race

package definition_test

// The tests of this file take much time and memory, all in one goroutine. The race detector would take ten times as
// much.

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// TestHostileFiles parses files of up to the maximum size that are wrong throughout. Work that is quadratic in their
// size would take minutes or hours for each.
func TestHostileFiles(t *testing.T) {
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	const head = "name: p\ntasks:\n"
	tests := map[string]string{
		"unknown needs":   head + repeat(20_000, "- {id: t%d, run: x, needs: [unknown-task]}\n"),
		"many needs":      head + "- {id: a, run: 'x', needs: [" + repeat(90_000, "t%d, ") + "]}\n",
		"unknown keys":    head + "- {id: a, run: x, " + repeat(80_000, "k%d: 1, ") + "}\n",
		"bad expressions": head + "- {id: a, uses: echo, with: {" + repeat(40_000, "k%d: '${{ x }}', ") + "}}\n",
		"bad values":      head + "- {id: a, uses: echo, env: {" + repeat(80_000, "%d: x, ") + "}}\n",
		"one long text":   head + "- id: a\n  uses: echo\n  with:\n    x: |\n" + repeat(30_000, "      ${{ x%d }}\n"),
		"escapes":         head + "- id: a\n  uses: echo\n  with: {x: \"" + strings.Repeat("$${{", 250_000) + "\"}\n",
		"fields and tasks": "name: p\ninput:\n" + repeat(20_000, "  field%d: string\n") + "tasks:\n" +
			repeat(10_000, "- {id: t%d, uses: echo, with: {x: '${{ input.x }}'}}\n"),
		"misspelt needs": head + repeat(20_000, "- {id: t%[1]d, run: x, needs: t%[1]d1}\n"),
		"many cycles": head + repeat(13_000,
			"- {id: t%[1]d1, run: x, needs: t%[1]d2}\n- {id: t%[1]d2, run: x, needs: t%[1]d1}\n"),
		"one input misread": "name: p\ninput: {" + repeat(60_000, "f%d: q, ") + "}\ntasks: []\n",
		"brackets":          head + strings.Repeat("[", 1_000_000),
		"quotes":            head + strings.Repeat("'", 1_000_000),
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			if len(src) > 1<<20 {
				t.Fatalf("%d bytes", len(src))
			}
			started := time.Now()
			if _, err := definition.Parse("p.yaml", []byte(src), catalog(t)); err == nil && name != "escapes" {
				t.Error("no error")
			}
			if took := time.Since(started); took > 2*time.Minute { // quadratic time would be hours
				t.Errorf("took %v", took)
			}
		})
	}
}
