package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

const digitsPipeline = `name: digits
input: {big: {type: number}, price: {type: number}, huge: {type: number}}
tasks:
  - id: a
    run: |
      printf '{"big": %s, "price": %s, "huge": %s}' ${{ input.big }} ${{ input.price }} ${{ input.huge }} \
        > "$SLUICE_OUTPUT"
  - id: b
    needs: [a]
    env: {PRICE: "${{ needs.a.price }}"}
    run: |
      printf '{"big": %s, "price": %s, "huge": %s, "read": %s}' \
        ${{ needs.a.big }} "$PRICE" ${{ needs.a.huge }} "$(cat "$SLUICE_INPUT")" > "$SLUICE_OUTPUT"
`

// TestDigitsSurvive checks that numbers that neither a float nor an int64 can hold keep their digits in input,
// expression, command, output, the next task, show, export and import.
func TestDigitsSurvive(t *testing.T) {
	t.Parallel()
	for backend, url := range map[string]func(testing.TB) string{
		"sqlite":   dbtest.SQLiteURL,
		"postgres": dbtest.PostgresURL,
	} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			p := &program{url: url(t)}
			path := file(t, "digits.yaml", digitsPipeline)
			p.ok(t, "run", path, "--input", `{"big": 1234567890123456789012345, "price": 1.10, "huge": 1E400}`)
			id := p.newest(t).Execution.ID
			p.digits(t, id)
			export := file(t, "digits.jsonl", p.ok(t, "export", id))
			for _, other := range []func(testing.TB) string{dbtest.SQLiteURL, dbtest.PostgresURL} {
				q := &program{url: other(t)}
				q.ok(t, "import", export)
				q.digits(t, id)
			}
		})
	}
}

// digits checks that the input and both outputs have the digits.
func (p *program) digits(t *testing.T, id string) {
	t.Helper()
	type numbers struct {
		Big, Price, Huge json.Number
		Read             *struct {
			Big, Price, Huge json.Number
			Needs            struct {
				A struct{ Big, Price, Huge json.Number }
			}
		}
	}
	doc := decode[struct {
		Execution struct{ Input numbers }
		Tasks     []struct{ Output numbers }
	}](t, p.ok(t, "show", id, "-o", "json"))
	check := func(what string, big, price, huge json.Number) {
		t.Helper()
		spelled := "1" + strings.Repeat("0", 400)
		if big != "1234567890123456789012345" || price != "1.10" || huge != "1E400" && huge.String() != spelled {
			t.Errorf("%s: %s, %s, %s", what, big, price, huge)
		}
	}
	check("input", doc.Execution.Input.Big, doc.Execution.Input.Price, doc.Execution.Input.Huge)
	for _, task := range doc.Tasks {
		o := task.Output
		check("output", o.Big, o.Price, o.Huge)
		if r := o.Read; r != nil {
			check("the input of the second task", r.Big, r.Price, r.Huge)
			check("the needs of the second task", r.Needs.A.Big, r.Needs.A.Price, r.Needs.A.Huge)
		}
	}
}
