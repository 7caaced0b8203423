package definition_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// ruleRow is a rule and its verdict for each mix of dependencies that succeeded (S), failed (F) or were skipped (K):
// R runs, K skipped by the rule, U skipped because of an upstream failure.
type ruleRow struct {
	rule          string
	s, f, k       byte
	sf, sk, fk    byte
	sfk           byte
	early, states string
}

var ruleTable = []ruleRow{
	{"all_success", 'R', 'U', 'K', 'U', 'K', 'U', 'U', "", "every dependency succeeded; the default"},
	{"all_failed", 'K', 'R', 'K', 'K', 'K', 'K', 'K', "", "every dependency failed"},
	{"all_done", 'R', 'R', 'R', 'R', 'R', 'R', 'R', "", "every dependency ended, however: for clean-up"},
	{"all_skipped", 'K', 'K', 'R', 'K', 'K', 'K', 'K', "", "every dependency was skipped"},
	{"one_success", 'R', 'U', 'K', 'R', 'R', 'U', 'R', "S", "at least one dependency succeeded"},
	{"one_failed", 'K', 'R', 'K', 'R', 'K', 'R', 'R', "F", "at least one dependency failed: for alerts and fallbacks"},
	{"one_done", 'R', 'R', 'K', 'R', 'R', 'R', 'R', "SF", "at least one dependency succeeded or failed"},
	{"none_failed", 'R', 'U', 'R', 'U', 'R', 'U', 'U', "", "no dependency failed"},
	{
		"none_failed_min_one_success", 'R', 'U', 'K', 'U', 'R', 'U', 'U', "",
		"no dependency failed, and at least one succeeded: for the join after a branch",
	},
	{"none_skipped", 'R', 'R', 'K', 'R', 'K', 'K', 'K', "", "no dependency was skipped"},
	{"always", 'R', 'R', 'R', 'R', 'R', 'R', 'R', "", "another name of `all_done`"},
}

// says returns the verdict for a mix of endings.
func (r ruleRow) says(succeeded, failed, skipped bool) byte {
	switch {
	case succeeded && failed && skipped:
		return r.sfk
	case succeeded && failed:
		return r.sf
	case succeeded && skipped:
		return r.sk
	case failed && skipped:
		return r.fk
	case succeeded:
		return r.s
	case failed:
		return r.f
	}
	return r.k
}

// endings are the ways in which a dependency may end, and the category of each.
var endings = []struct {
	name   string
	status tasks.Status
	reason tasks.SkipReason
	kind   byte
}{
	{"completed", tasks.Completed, "", 'S'},
	{"failed", tasks.Failed, "", 'F'},
	{"upstream_failed", tasks.Skipped, tasks.SkipUpstreamFailed, 'F'},
	{"skipped", tasks.Skipped, tasks.SkipCondition, 'K'},
	{"abandoned", tasks.Abandoned, "", 'F'},
	{"cancelled", tasks.Cancelled, "", 'F'},
}

var verdicts = map[byte]definition.Verdict{
	'R': definition.Runs, 'K': definition.SkippedByRule,
	'U': definition.SkippedUpstreamFailed,
}

// mixes calls each for every non-empty set of endings.
func mixes(each func(names []string, ended definition.Ended, succeeded, failed, skipped bool)) {
	for set := 1; set < 1<<len(endings); set++ {
		var names []string
		var ended definition.Ended
		kinds := map[byte]bool{}
		for i, e := range endings {
			if set&(1<<i) != 0 {
				names, kinds[e.kind] = append(names, e.name), true
				ended.Add(e.status, e.reason)
			}
		}
		each(names, ended, kinds['S'], kinds['F'], kinds['K'])
	}
}

// TestRuleDecides checks every rule with every mix of endings, each once and twice, with and without an open
// dependency.
func TestRuleDecides(t *testing.T) {
	rules := definition.Rules()
	if len(rules) != len(ruleTable) {
		t.Fatalf("%d rules, the table has %d", len(rules), len(ruleTable))
	}
	for i, row := range ruleTable {
		rule := definition.TriggerRule(row.rule)
		if rules[i] != rule {
			t.Fatalf("rule %d is %s, the table has %s", i, rules[i], rule)
		}
		mixes(func(names []string, ended definition.Ended, succeeded, failed, skipped bool) {
			want := verdicts[row.says(succeeded, failed, skipped)]
			twice := definition.Ended{
				Succeeded: 2 * ended.Succeeded, Failed: 2 * ended.Failed,
				Skipped: 2 * ended.Skipped,
			}
			for _, e := range []definition.Ended{ended, twice} {
				if got := rule.Decide(e); got != want {
					t.Errorf("%s after %v: %d, want %d", rule, names, got, want)
				}
			}
			early := definition.Undecided
			if succeeded && strings.Contains(row.early, "S") || failed && strings.Contains(row.early, "F") {
				early = definition.Runs
			}
			ended.Open = 1
			if got := rule.Decide(ended); got != early {
				t.Errorf("%s after %v with one open: %d, want %d", rule, names, got, early)
			}
		})
		if got := rule.Decide(definition.Ended{Open: 2}); got != definition.Undecided {
			t.Errorf("%s before any dependency has ended: %d", rule, got)
		}
		if rule.Early() != (row.early != "") {
			t.Errorf("%s: early %v", rule, rule.Early())
		}
	}
	if got := definition.TriggerRule("sometimes").Decide(definition.Ended{}); got != definition.SkippedByRule {
		t.Errorf("an unknown rule: %d", got)
	}
}

// TestRuleReference compares docs/trigger-rules.md with the text generated from the table. -update writes the file.
func TestRuleReference(t *testing.T) {
	const file = "../../../docs/trigger-rules.md"
	want := ruleReference()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/trigger-rules.md is not what the table says: run go test ./modules/pipelines/definition -run " +
			"TestRuleReference -update")
	}
}

func ruleReference() []byte {
	var b bytes.Buffer
	b.WriteString(`# Trigger rules

<!-- Written by go test ./modules/pipelines/definition -run TestRuleReference -update. -->

A task's ` +
		"`trigger_rule`" + ` says when it runs, depending on how its dependencies ended. ` +
		`Names and meanings are those that
Airflow documents. A rule is decided when all dependencies have ended; ` +
		"`one_success`, `one_failed` and `one_done`" + ` start
their task as soon as one dependency has ended that way, while others may still run. A task starts once: dependencies
that end later change nothing. The run waits for all its tasks.

| rule | the task runs if | decided |
|---|---|---|
`)
	for _, row := range ruleTable {
		decided := "when all have ended"
		if row.early != "" {
			decided = "by the first that ends so"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", row.rule, row.states, decided)
	}
	b.WriteString(`
## What counts as what

| a dependency that is | counts as |
|---|---|
| Completed | succeeded |
| Failed, Abandoned, Cancelled | failed |
| Skipped with reason ` + "`upstream_failed`" + ` | failed |
| Skipped for any other reason | skipped |

` + "`continue_on_error`" + ` changes none of this: it says whether a failure makes the run fail.

Cancelled counts as failed, because the work was not done. In Airflow, too, a killed task has failed. ` +
		"`one_done`" + ` counts
` + "`upstream_failed`" + ` as failed, as every rule does.

A task whose rule does not hold is Skipped. Its reason is ` +
		"`upstream_failed`" + ` if the rule asks for success (` + "`all_success`" + `,
` + "`one_success`, `none_failed`, `none_failed_min_one_success`" + `) and a dependency failed, and ` +
		"`trigger_rule`" + ` otherwise. A
task whose rule holds and whose ` + "`if`" + ` is false is Skipped with reason ` +
		"`condition`" + `. So a failure reaches an alert or a
clean-up however many tasks lie between.

## Every rule and every mix

What happens to a task whose dependencies have ended in these ways, each at least once: **run**; skip: Skipped with
reason ` + "`trigger_rule`" + `; fail: Skipped with reason ` + "`upstream_failed`" + `.

| dependencies |`)
	for _, row := range ruleTable {
		fmt.Fprintf(&b, " `%s` |", row.rule)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(ruleTable)) + "\n")
	words := map[byte]string{'R': "**run**", 'K': "skip", 'U': "fail"}
	mixes(func(names []string, _ definition.Ended, succeeded, failed, skipped bool) {
		fmt.Fprintf(&b, "| %s |", strings.Join(names, ", "))
		for _, row := range ruleTable {
			fmt.Fprintf(&b, " %s |", words[row.says(succeeded, failed, skipped)])
		}
		b.WriteString("\n")
	})
	return b.Bytes()
}
