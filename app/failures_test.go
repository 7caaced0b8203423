package app_test

import (
	"strings"
	"testing"
)

const broken = `name: broken
tasks:
  - {id: soft, run: exit 3, continue_on_error: true}
  - {id: load, run: 'echo first >&2; echo "KeyError: amount" >&2; exit 22'}
  - {id: alert, needs: [load], trigger_rule: one_failed, run: exit 1}
  - {id: gpu, queue: gpu, needs: [soft], trigger_rule: all_done, run: 'true'}
`

// TestShowBeginsWithFailures checks that show first prints what failed and why, root causes first, and how to see the
// logs, and that list has the most informative line of the error.
func TestShowBeginsWithFailures(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", file(t, "broken.yaml", broken), "--label", "team=sales", "--label", "tier=gold", "-o",
			"json")
		ran := decode[struct {
			Execution execution
			Attempts  []struct {
				ID       string
				ExitCode *int `json:"exit_code"`
			}
		}](t, r.stdout)
		codes := map[string]int{}
		for _, a := range ran.Attempts {
			if a.ExitCode != nil {
				codes[a.ID] = *a.ExitCode
			}
		}
		if r.code != 1 || len(ran.Attempts) != 4 || codes["soft"] != 3 || codes["load"] != 22 || codes["alert"] != 1 {
			t.Errorf("exit code %d, attempts %+v", r.code, ran.Attempts)
		}
		id := ran.Execution.ID
		lines := strings.Split(p.ok(t, "show", id), "\n")
		for i, want := range []string{
			"broken Failed",
			"failed     load (attempt 1/1), exit code 22: KeyError: amount",
			"failed     alert (attempt 1/1): exit code 1",
			"failed     soft (attempt 1/1), after which the run continues: exit code 3",
			"logs       sluice logs " + id + " --failed",
			"id         " + id,
			"labels     team=sales, tier=gold",
		} {
			if lines[i] != want {
				t.Errorf("line %d is %q, want %q", i+1, lines[i], want)
			}
		}
		doc := decode[struct {
			Failures []struct {
				ID, Error, Logs string
				ErrorKind       string `json:"error_kind"`
				ExitCode        int    `json:"exit_code"`
				Root            bool
				Continue        bool `json:"continue_on_error"`
			}
		}](t, p.ok(t, "show", id, "-o", "json")).Failures
		if len(doc) != 3 || doc[0].ID != "load" || doc[0].Error != "KeyError: amount" || doc[0].ExitCode != 22 ||
			doc[0].ErrorKind != "exit" ||
			!doc[0].Root || doc[1].Root || !doc[2].Continue {
			t.Fatalf("failures: %+v", doc)
		}
		if out := p.ok(t, strings.Fields(doc[0].Logs)[1:]...); out != "first\nKeyError: amount\n" {
			t.Errorf("%s prints %q", doc[0].Logs, out)
		}
		if text := p.ok(t, "show", id, "-o", "json"); strings.Index(text, `"failures"`) > strings.Index(text,
			`"execution"`) {
			t.Error("the failures do not come first")
		}
		contains(t, p.ok(t, "list"), "KeyError: amount")
	})
}

// TestShowSaysWhatIsWaitedFor checks that a run without a started task is Queued, with the time since its creation
// and what would start it.
func TestShowSaysWhatIsWaitedFor(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		id := p.start(t, file(t, "gpu.yaml",
			"name: gpu\ntasks:\n  - {id: a, queue: gpu, run: 'true'}\n  - {id: b, needs: [a], run: 'true'}\n"))
		shown := p.ok(t, "show", id)
		lines := strings.Split(shown, "\n")
		if lines[0] != "gpu Queued" || !strings.HasPrefix(lines[1], "waiting    for ") ||
			!strings.HasSuffix(lines[1], ": no task has started") ||
			!strings.HasPrefix(lines[2], "waiting    a: ready for ") || strings.Contains(shown, "started    ") {
			t.Errorf("shown:\n%s", shown)
		}
		contains(t, lines[2], "start `sluice serve --queues gpu`")
		contains(t, p.ok(t, "outbox"), "start `sluice serve --queues gpu`")
		contains(t, p.raw(t.Context(), "show", id).stdout, p.url)
		serve := p.begin(t, "serve", "--queues", "default,gpu")
		p.ok(t, "wait", id, "--timeout", "1m")
		serve.stop(t)
		contains(t, p.ok(t, "show", id), "started    ", " after its creation, took ")
		p.ok(t, "cancel", p.start(t, "../examples/failing.yaml"), "--reason", "the wrong day")
		contains(t, p.ok(t, "show", "latest"), "failing Cancelled\ncancelled  by cli:", ": the wrong day")
	})
}
