package definition_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// Parse reports every mistake with its place and usually a hint. Without handlers, `uses` and `with` are not checked.
func ExampleParse() {
	def, err := definition.Parse("orders.yaml", []byte(`
name: orders
input: {day: {type: string, required: true}}
tasks:
  - {id: fetch, uses: orders.fetch, with: {day: "${{ input.day }}"}, retry: {max_attempts: 3}}
  - {id: load, needs: [fetch], uses: orders.load}
`), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(def.Name, def.Order(), def.Tasks[0].Retry.MaxAttempts)

	_, err = definition.Parse("orders.yaml",
		[]byte("name: orders\ntasks:\n  - {id: load, needs: [fetch], uses: orders.load}\n"), nil)
	var mistakes definition.Diagnostics
	if errors.As(err, &mistakes) {
		fmt.Println(mistakes[0].Line, mistakes[0].Message)
	}
	// Output:
	// orders [fetch load] 3
	// 3 unknown task "fetch" in needs
}

// A pipeline in Go is a value. Check sets the defaults of what it leaves out, and finds the mistakes that Parse finds.
func ExampleDefinition_Check() {
	retry := tasks.DefaultRetryPolicy()
	retry.MaxAttempts, retry.Delay = 5, 10*time.Second
	def := &definition.Definition{
		Name:  "orders",
		Input: []definition.InputField{{Name: "day", Type: definition.TypeString, Required: true}},
		Tasks: []definition.Task{
			{ID: "fetch", Uses: "orders.fetch", With: json.RawMessage(`{"day": "${{ input.day }}"}`), Retry: retry},
			{
				ID: "load", Needs: []string{"fetch"}, Uses: "orders.load",
				With: json.RawMessage(`{"rows": "${{ needs.fetch.rows }}"}`),
			},
			{ID: "alert", Needs: []string{"load"}, Uses: "orders.alert", TriggerRule: definition.OneFailed},
		},
	}
	if err := def.Check(nil); err != nil {
		log.Fatal(err)
	}
	load, _ := def.Task("load")
	fmt.Println(load.Timeout, load.TriggerRule, load.RequiredOutputs())
	fmt.Println(def.Descendants("fetch"))
	// Output:
	// 1h0m0s all_success [fetch]
	// [load alert]
}

// The input of a run is checked before anything starts.
func ExampleDefinition_CheckInput() {
	def := &definition.Definition{
		Name: "orders",
		Input: []definition.InputField{{
			Name: "limit", Type: definition.TypeInteger, Default: json.RawMessage("100"),
			Max: "1000",
		}},
		Tasks: []definition.Task{{ID: "fetch", Uses: "orders.fetch"}},
	}
	if err := def.Check(nil); err != nil {
		log.Fatal(err)
	}
	input, err := def.CheckInput(nil)
	fmt.Println(string(input), err)
	_, err = def.CheckInput(json.RawMessage(`{"limit": 5000}`))
	fmt.Println(err)
	// Output:
	// {"limit":100} <nil>
	// input.limit: it is 5000, and must be at most 1000
}
