package app_test

import (
	"strconv"
	"strings"
	"testing"
)

type manyDone struct {
	Matched     int
	Done        int
	Refused     int
	NotPossible []struct{ ID, Reason string } `json:"not_possible"`
	DryRun      bool                          `json:"dry_run"`
}

// TestManyAtOnce checks that a command for a filter's executions says how many there are, requires --yes, works in
// sets and reports what was not possible.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		chain := file(t, "chain.yaml",
			"name: chain\ntasks:\n  - {id: a, run: 'true'}\n  - {id: b, needs: [a], run: 'true'}\n")
		ids := strings.Fields(p.ok(t, "start", chain, "--count", "1200", "--label", "batch=wrong"))
		kept := p.start(t, chain)
		count := func(args ...string) int {
			n, err := strconv.Atoi(strings.TrimSpace(p.ok(t, append([]string{"count"}, args...)...)))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := count("--label", "batch=wrong"); n != 1200 {
			t.Fatalf("%d have the label", n)
		}
		p.fails(t, 2, []string{"cancel 1200 executions", "standard input is not a terminal", "--yes"}, "cancel",
			"--label", "batch=wrong")
		dry := decode[manyDone](t, p.ok(t, "cancel", "--label", "batch=wrong", "--dry-run", "-o", "json"))
		if !dry.DryRun || dry.Matched != 1200 || dry.Done != 0 || count("--status", "running") != 1201 {
			t.Fatalf("a dry run: %+v", dry)
		}
		contains(t, p.ok(t, "pause", "--label", "batch=wrong", "--yes"), "paused 1200 executions")
		if count("--status", "paused,cancelled") != 1200 ||
			len(decode[listing[any]](t, p.ok(t, "outbox", "-o", "json")).Items) != 1 {
			t.Error("not all are paused, or the outbox has their tasks still")
		}
		contains(t, p.ok(t, "resume", "--status", "paused", "--pipeline", "chain", "--yes"), "resumed 1200 executions")
		p.ok(t, "cancel", ids[0])
		done := decode[manyDone](t,
			p.ok(t, "cancel", "--label", "batch=wrong", "--yes", "--reason", "a typo", "-o", "json"))
		if done.Matched != 1199 || done.Done != 1199 || done.Refused != 0 || count("--status", "Cancelled") != 1200 {
			t.Errorf("cancelled: %+v", done)
		}
		if x := p.show(t, kept); x.Execution.Status != "Running" {
			t.Errorf("the one without the label is %s", x.Execution.Status)
		}
		r := p.run(t, "cancel", ids[0], kept, nobody, "-o", "json")
		some := decode[manyDone](t, r.stdout)
		if r.code != 5 || some.Done != 1 || some.Refused != 2 || len(some.NotPossible) != 2 ||
			!strings.Contains(some.NotPossible[0].Reason, "cannot cancel") {
			t.Errorf("exit code %d, %+v", r.code, some)
		}
		r = p.run(t, "retry", "--label", "batch=wrong", "--yes")
		contains(t, r.stdout, "restarted 1200 executions")
		if count("--status", "running") != 1200 {
			t.Errorf("%d run again", count("--status", "running"))
		}
		if r := p.run(t, "cancel", nobody, "01a21ac2-d42f-785b-81b3-c51050fe7ddf"); r.code != 3 {
			t.Errorf("none of them exists: exit code %d", r.code)
		}
		p.fails(t, 2, []string{"don't go together"}, "cancel", kept, "--status", "running")
		p.fails(t, 2, []string{"needs the id of an execution, or a filter"}, "cancel")
	})
}

// TestShortIDs checks that a unique prefix, latest and latest:PIPELINE can replace an id in every command.
func TestShortIDs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.fails(t, 3, []string{"no such pipeline execution"}, "show", "latest")
		one := p.start(t, file(t, "one.yaml", "name: one\ntasks:\n  - {id: a, run: 'true'}\n"), "--label", "team=sales")
		two := p.start(t, file(t, "two.yaml",
			"name: two\nlabels: {team: ops, tier: gold}\ntasks:\n  - {id: a, run: 'true'}\n"), "--label", "team=sales")
		common := 0
		for one[common] == two[common] {
			common++
		}
		for arg, want := range map[string]string{
			one[:common+1]: one, two[:common+1]: two, strings.ToUpper(strings.ReplaceAll(one[:common+1], "-", "")): one,
			"latest": two, "latest:one": one, "latest:two": two, one: one,
		} {
			if got := p.show(t, arg).Execution.ID; got != want {
				t.Errorf("%s is %s, want %s", arg, got, want)
			}
		}
		for _, args := range [][]string{
			{"verify", "latest"},
			{"events", "--pipeline-execution", "latest"},
			{"diff", "latest", "latest:two"},
			{"export", "latest"},
			{"annotate", "latest", "--data", "{}"},
			{"pause", "latest:one"},
			{"resume", one[:common+1]},
			{"list", "--cursor", "latest"},
		} {
			p.ok(t, args...)
		}
		p.fails(t, 2, []string{"ambiguous: 2 executions begin so", one + " (one, Running)", two + " (two, Running)"},
			"show", one[:common])
		r := p.run(t, "cancel", one[:common], "-o", "json")
		ambiguous := decode[struct {
			Error struct{ Candidates []string }
		}](t, r.stderr).Error.Candidates
		if r.code != 2 || len(ambiguous) != 2 || ambiguous[0] != one || ambiguous[1] != two {
			t.Errorf("exit code %d, candidates %v", r.code, ambiguous)
		}
		p.fails(t, 3, []string{"none begins with ffff"}, "show", "ffff")
		p.fails(t, 3, []string{`of "three"`}, "show", "latest:three")
		for _, bad := range []string{"abc", "xyzw", "first", two + "0"} {
			p.fails(t, 2, []string{"invalid id"}, "show", bad)
		}
		x := decode[struct {
			Items []struct {
				ID       string
				Labels   map[string]string
				Started  *string `json:"started_at"`
				Duration *int64  `json:"duration_ms"`
				Waited   int64   `json:"waited_ms"`
			}
		}](t, p.ok(t, "list", "--label", "tier=gold", "-o", "json")).Items
		if len(x) != 1 || x[0].ID != two || x[0].Labels["team"] != "sales" || x[0].Labels["tier"] != "gold" ||
			x[0].Started != nil || x[0].Duration != nil {
			t.Errorf("%+v", x)
		}
		contains(t, p.ok(t, "list"), "Queued")
		p.fails(t, 2, []string{"expected NAME=VALUE"}, "list", "--label", "team")
		// A copy in another database has the labels too.
		moved, other := file(t, "moved.jsonl", p.ok(t, "export", "latest:two")),
			&program{url: "sqlite://" + t.TempDir() + "/other.db"}
		other.ok(t, "import", moved, "--include-open")
		if got := strings.TrimSpace(other.ok(t, "count", "--label", "tier=gold")); got != "1" {
			t.Errorf("%s imported with the label", got)
		}
	})
}
