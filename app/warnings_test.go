package app_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestWarnings checks that a ${{ }} in a text that a shell parses again leads to a warning wherever a file is read,
// and not to a failure.
func TestWarnings(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		dir := t.TempDir()
		path := write(t, "name: again\ninput: {x: {type: string, default: fine}}\ntasks:\n"+
			"  - {id: a, run: 'eval \"echo ${{ input.x }}\"'}\n", dir, "again.yaml")
		const place, message = ":4:33: warning: ",
			"the value of this ${{ }} becomes part of a text that eval parses as code"
		for _, command := range []string{"validate", "run", "start"} {
			r := p.run(t, command, path)
			if r.code != 0 || strings.Count(r.stderr, path+place+message+" (give it a name in env:") != 1 {
				t.Errorf("%s: exit code %d\n%s%s", command, r.code, r.stdout, r.stderr)
			}
		}
		var doc struct {
			Items []struct {
				OK                 bool
				Problems, Warnings []struct {
					File, Message, Hint string
					Line, Column        int
				}
			}
		}
		if err := json.Unmarshal([]byte(p.ok(t, "validate", path, "-o", "json")), &doc); err != nil {
			t.Fatal(err)
		}
		item := doc.Items[0]
		if !item.OK || len(item.Problems) != 0 || len(item.Warnings) != 1 {
			t.Fatalf("%+v", item)
		}
		if w := item.Warnings[0]; w.File != path || w.Message != message || w.Hint == "" || w.Line != 4 ||
			w.Column != 33 {
			t.Errorf("%+v", w)
		}
		serve := p.begin(t, "serve", "--pipelines", dir)
		awaitLog(t, serve, "pipeline file: "+message, `"line":4,"column":33`, "serving")
		if n := strings.Count(serve.stderr.String(), message); n != 1 {
			t.Errorf("logged %d times", n)
		}
		if r := serve.stop(t); r.code != 0 {
			t.Errorf("serve: exit code %d", r.code)
		}
	})
}
