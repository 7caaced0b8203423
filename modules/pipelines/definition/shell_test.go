package definition_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
)

// commandTask returns a definition whose task b runs script with the output of a.
func commandTask(script string) *definition.Definition {
	return &definition.Definition{Name: "p", Tasks: []definition.Task{
		{ID: "a", Run: "true"}, {ID: "b", Needs: []string{"a"}, Run: script},
	}}
}

// TestValuesOfScripts checks that a script gets the values of its expressions as they are, whatever they contain.
func TestValuesOfScripts(t *testing.T) {
	const script = `: '$${{ x }}' # it's ${{ needs.a.v }}
printf '<%s>' ${{ needs.a.v }}; printf '%s' "<${{ needs.a.v }}>"`
	d := commandTask(script)
	if err := d.Check(catalog(t)); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{`"; touch pwned #`, "`touch pwned`", `$(touch pwned)`, "a  b\n*\n", `'`, ""} {
		out, err := json.Marshal(map[string]string{"v": value})
		if err != nil {
			t.Fatal(err)
		}
		got, err := task(t, d, "b").Resolve(t.Context(), values("", map[string]string{"a": string(out)}))
		if err != nil {
			t.Fatal(err)
		}
		var with struct{ Script string }
		if err := json.Unmarshal(got.With, &with); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", with.Script)
		cmd.Dir, cmd.Env = t.TempDir(), os.Environ()
		for name, v := range got.Env {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
		printed, err := cmd.CombinedOutput()
		if want := "<" + value + "><" + value + ">"; err != nil || string(printed) != want {
			t.Errorf("%s: printed %q (%v), want %q", with.Script, printed, err, want)
		}
	}
}

// TestRefusedExpressionsOfScripts checks the place and the hint of an expression that a script cannot have.
func TestRefusedExpressionsOfScripts(t *testing.T) {
	for script, want := range map[string]string{
		`echo '${{ needs.a.v }}'`: "tasks[1].run: ${{ }} is not evaluated in single quotes (use double quotes, or " +
			`give it a name in env: and use "$NAME" there)`,
		`echo ${{ needs.b.v }}`: `tasks[1].run: "b" is not among the task's needs`,
	} {
		if err := commandTask(script).Check(catalog(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", script, err, want)
		}
	}
}

func TestShellTextWithoutExpressionsIsUntouched(t *testing.T) {
	for _, script := range []string{`echo 'a' $(( 1 ))`, "cat <<'E'\n${X}\nE\n", `case x in a) ;; esac; $'x`} {
		d := commandTask(script)
		if err := d.Check(catalog(t)); err != nil {
			t.Fatal(err)
		}
		got, err := task(t, d, "b").Resolve(t.Context(), &expr.Values{})
		if err != nil {
			t.Fatal(err)
		}
		var with struct{ Script string }
		if err := json.Unmarshal(got.With, &with); err != nil || with.Script != script {
			t.Errorf("got %q (%v), want %q", with.Script, err, script)
		}
	}
}
