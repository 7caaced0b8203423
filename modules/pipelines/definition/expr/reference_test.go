package expr_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
)

// TestFunctionReference evaluates the example of each function in the reference, and checks that the reference lists
// exactly the existing functions.
func TestFunctionReference(t *testing.T) {
	doc, err := os.ReadFile("../../../../docs/expressions.md")
	if err != nil {
		t.Fatal(err)
	}
	known, listed := expr.FunctionNames(), []string(nil)
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `(.+)` \\| `(.+)` \\|$").FindAllStringSubmatch(string(doc), -1)
	for _, row := range rows {
		name, example, want := row[1], row[2], row[3]
		listed = append(listed, name)
		if !strings.Contains(example, name+"(") {
			t.Errorf("the example of %s does not call it", name)
		}
		if got, err := evaluate(t, "${{ "+example+" }}"); err != nil || got != want {
			t.Errorf("%s is %s (%v), expected %s", example, got, err, want)
		}
	}
	if diff := cmp.Diff(known, listed); diff != "" {
		t.Errorf("functions in the code (-) and in the reference (+):\n%s", diff)
	}
}
