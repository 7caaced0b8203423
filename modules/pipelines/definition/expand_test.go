package definition_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// multiplied are small files that would have millions of entries if they were expanded.
func multiplied() map[string]struct{ src, want string } {
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	var laughs strings.Builder
	laughs.WriteString("name: p\nx-0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&laughs, "x-%d: &x%d [%s*x%d]\n", i, i, strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 9), i-1)
	}
	return map[string]struct{ src, want string }{
		"aliases of aliases": {
			laughs.String() + "tasks: [{id: a, uses: echo, with: {x: *x11}}]",
			"more than the limit of 16777216",
		},
		"merge keys": {"name: p\nx-e: &e {" + many("K%d: v, ", 3000) + "}\ntasks:\n" +
			many("- {id: t%d, run: x, env: {<<: *e}}\n", 3000), "the merge keys of this file bring more than"},
		"one alias, many times": {
			"name: p\nx-e: &e {" + many("K%d: v, ", 3000) + "}\ntasks:\n" +
				many("- {id: t%d, run: x, env: *e}\n", 3000), "more than the limit of 16777216",
		},
		"defaults.env": {"name: p\ndefaults: {env: {" + many("K%d: v, ", 3000) + "}}\ntasks:\n" +
			many("- {id: t%d, run: x}\n", 3000), "p.yaml:2:11: each task inherits"},
		"defaults.env, with an env": {"name: p\ndefaults: {env: {" + many("K%d: v, ", 3000) + "}}\ntasks:\n" +
			many("- {id: t%d, run: x, env: {A: b}}\n", 3000), "p.yaml:2:11: each task inherits"},
		"defaults.retry": {"name: p\ndefaults: {retry: {permanent_errors: [" + many("timeout, # %d\n ",
			3000) + "]}}\ntasks:\n" + many("- {id: t%d, run: x}\n", 3000), "more than the limit"},
		"below the limit": {"name: p\ndefaults: {env: {" + many("K%d: v, ", 300) + "}}\ntasks:\n" +
			many("- {id: t%d, run: x}\n", 1000), ""},
	}
}

// TestMultipliedYAML checks that a file is refused for its expanded size, and that reading it takes no more memory
// than the largest allowed file.
func TestMultipliedYAML(t *testing.T) {
	for name, tt := range multiplied() {
		t.Run(name, func(t *testing.T) {
			defer debug.SetGCPercent(debug.SetGCPercent(-1)) // measures all allocations
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			d, err := definition.Parse("p.yaml", []byte(tt.src), catalog(t))
			runtime.ReadMemStats(&after)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%d bytes: got %.300v, want %q", len(tt.src), err, tt.want)
			}
			if d != nil && len(d.Tasks) != 1000 {
				t.Errorf("%d tasks", len(d.Tasks))
			}
			if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 256 {
				t.Errorf("reading %d bytes allocated %d MiB", len(tt.src), grown)
			}
			t.Logf("%d bytes: %d MiB allocated", len(tt.src), (after.TotalAlloc-before.TotalAlloc)>>20)
		})
	}
}
