package definition_test

import (
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConcurrentUse(t *testing.T) {
	d := parse(t, `
name: p
input: {n: {type: integer, required: true}}
tasks:
  - {id: a, run: "true"}
  - id: b
    needs: a
    uses: echo
    if: needs.a.x > 0 and input.n >= 0
    with: {v: ["${{ input.n }}", "x${{ needs.a.x }}"]}
    env: {N: "${{ input.n }}", F: f}
`)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				n := i*100 + j
				v := values(fmt.Sprintf(`{"n":%d}`, n), map[string]string{"a": `{"x":1}`})
				got, err := task(t, d, "b").Resolve(t.Context(), v)
				if want := fmt.Sprintf(`{"v":[%d,"x1"]}`, n); err != nil || string(got.With) != want ||
					got.Env["N"] != fmt.Sprint(n) {
					t.Errorf("%s %v (%v), want %s", got.With, got.Env, err, want)
				}
				if ok, err := task(t, d, "b").Condition(v); err != nil || !ok {
					t.Errorf("condition: %v %v", ok, err)
				}
			}
		})
	}
	wg.Wait()
}
