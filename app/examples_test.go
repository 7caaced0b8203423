package app_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// example is one run of a file in examples/pipelines: how it is started, how it ends, and what it leaves.
type example struct {
	pipeline string
	variant  string // distinguishes runs of one pipeline
	args     []string
	code     int
	ending   string            // each task with its status, or with why it was skipped
	says     string            // by task
	files    map[string]string // below the directory of the test, with a part of their content
	none     []string          // files that must not exist
}

// examples are run in a directory DIR that exampleData fills.
var examples = []example{
	{
		pipeline: "taxi-month", args: []string{"month=2026-03", "store=DIR/trips"},
		ending: "fetch Completed, check Completed, merge Completed, tidy Completed",
		says:   "28 rows", files: map[string]string{"trips/yellow-2026-03.csv": "2026-03-28,2800"},
	},
	{
		pipeline: "map-reduce", args: []string{"upto=100"}, says: "the sum is 5050",
		ending: "split Completed, part1 Completed, part2 Completed, part3 Completed, part4 Completed, reduce Completed",
	},
	{
		pipeline: "exit-codes", ending: "work Completed, publish Completed, report Completed",
		says: "work: success after 1 attempts, no error",
	},
	{
		pipeline: "exit-codes", variant: "permanent", args: []string{"code=2"}, code: 1,
		ending: "work Failed, publish upstream_failed, report Completed",
		says:   "work: failure after 1 attempts, exit code 2",
	},
	{
		pipeline: "exit-codes", variant: "retried", args: []string{"code=3"}, code: 1,
		ending: "work Failed, publish upstream_failed, report Completed",
		says:   "work: failure after 3 attempts, exit code 3",
	},
	{
		pipeline: "exit-codes", variant: "skips", args: []string{"code=99"},
		ending: "work exit_code, publish trigger_rule, report Completed",
		says:   "work: skipped after 1 attempts, no error",
	},
	{
		pipeline: "api-etl", args: []string{"base=API", "report=DIR/articles.csv"}, says: "6 articles",
		ending: "page1 Completed, page2 Completed, page3 Completed, join Completed, say Completed",
		files:  map[string]string{"articles.csv": "id,title\r\n1,\"first, of page 1\"\r\n"},
	},
	{
		pipeline: "ci-matrix", says: "old: success, success",
		ending: "check Completed, old-c Completed, old-utf8 Completed, new-c Completed, new-utf8 Completed, summary " +
			"Completed",
	},
	{
		pipeline: "ci-matrix", variant: "one fails", args: []string{`test=test "$LEVEL" != old`}, code: 1,
		says: "old: failure, failure",
		ending: "check Completed, old-c Failed, old-utf8 Failed, " +
			"new-c Completed, new-utf8 Completed, summary Completed",
	},
	{
		pipeline: "ci-matrix", variant: "one may fail", args: []string{`test=test "$LEVEL $LOCALE" != "new C.UTF-8"`},
		says: "new: success, failure",
		ending: "check Completed, old-c Completed, old-utf8 Completed, new-c Completed, new-utf8 Failed, summary " +
			"Completed",
	},
	{
		pipeline: "top-artists", args: []string{"dir=DIR/plays"}, says: "     6 Nina",
		ending: "day1 Completed, day2 Completed, day3 Completed, top Completed",
	},
	{
		pipeline: "variants", args: []string{"dir=DIR/reads"}, says: "2 1 3",
		ending: "align-a Completed, align-b Completed, align-c Completed, sort-a Completed, sort-b Completed, sort-c " +
			"Completed, " +
			"call-a Completed, call-b Completed, call-c Completed, report Completed",
	},
	{
		pipeline: "backup", args: []string{"source=DIR/plays", "target=DIR/backup"}, says: ".tar: OK",
		ending: "dump Completed, checksum Completed, restore Completed, prune Completed, alert trigger_rule",
		none:   []string{"backup/ALERT"},
	},
	{
		pipeline: "backup", variant: "fails", args: []string{"source=DIR/missing", "target=DIR/failed"}, code: 1,
		says: "the backup failed, run ",
		ending: "dump Failed, checksum upstream_failed, restore upstream_failed, " +
			"prune upstream_failed, alert Completed",
		files: map[string]string{"failed/ALERT": "the backup failed"},
	},
	{
		pipeline: "sweep", args: []string{"registry=DIR/models"}, says: "rate 0.1, depth 4: 1.000",
		ending: "t1 Completed, t2 Completed, t3 Completed, t4 Completed, t5 Completed, t6 Completed, best Completed, " +
			"register Completed",
		files: map[string]string{"models/model": "rate 0.1 depth 4"},
	},
	{
		pipeline: "shop-models", args: []string{"dir=DIR/shop"}, says: "negative amounts",
		ending: "stg-customers Completed, stg-orders Completed, unique-customers Completed, positive-amounts Failed, " +
			"customers Completed, no-lost-orders Completed",
		files: map[string]string{"shop/mart_customers.csv": "Ann,2,7"},
	},
	{
		pipeline: "shop-models", variant: "lost orders", args: []string{"dir=DIR/lost"}, code: 1,
		ending: "stg-customers Completed, stg-orders Completed, unique-customers Completed, positive-amounts " +
			"Completed, customers Completed, no-lost-orders Failed",
	},
	{
		pipeline: "branch-teardown", says: "small",
		ending: "setup Completed, small Completed, big condition, join Completed, teardown Completed",
	},
	{
		pipeline: "branch-teardown", variant: "a branch fails", args: []string{"size=big", "break=true"}, code: 1,
		ending: "setup Completed, small condition, big Failed, join upstream_failed, teardown Completed",
	},
}

// exampleData creates what the examples read.
func exampleData(t *testing.T) (dir, api string) {
	t.Helper()
	dir = t.TempDir()
	for path, text := range map[string]string{
		"plays/2026-03-01.txt": "Nina\nBill\nNina\n", "plays/2026-03-02.txt": "Nina\nNina\nElla\n",
		"plays/2026-03-03.txt": "Nina\nNina\nBill\n",
		"reads/a.reads":        "ACGT\nNNNN\nTTTT\nACGT\n", "reads/b.reads": "ACGT\nNACG\n",
		"reads/c.reads":      "A\nC\nG\n",
		"shop/customers.csv": "1,Ann\n2,Bob\n", "shop/orders.csv": "10,1,9\n11,1,-2\n12,2,4\n",
		"lost/customers.csv": "1,Ann\n", "lost/orders.csv": "10,1,9\n12,2,4\n",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := r.URL.Query().Get("page")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`[{"id": 1, "title": "first, of page ` + page + `"}, {"id": 2, "title": "second"}]`))
	}))
	t.Cleanup(server.Close)
	return dir, server.URL
}

// TestExamples runs each file of examples/pipelines, also so that it fails. Failures must be reported, and
// independent tasks must have run.
func TestExamples(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		dir, api := exampleData(t)
		place := strings.NewReplacer("DIR", dir, "API", api)
		for _, x := range examples {
			t.Run(strings.TrimSpace(x.pipeline+" "+x.variant), func(t *testing.T) {
				args := []string{"run", "../examples/pipelines/" + x.pipeline + ".yaml", "-o", "json"}
				for _, a := range x.args {
					args = append(args, "--set", place.Replace(a))
				}
				r := p.run(t, args...)
				if r.code != x.code {
					t.Errorf("exit code %d, expected %d\n%s", r.code, x.code, r.stderr)
				}
				if diff := cmp.Diff(x.ending, decode[document](t, r.stdout).ending()); diff != "" {
					t.Errorf("%s\n%s", diff, r.stderr)
				}
				contains(t, r.stderr, x.says)
				x.left(t, dir)
			})
		}
	})
}

// left checks the files that a run leaves.
func (x *example) left(t *testing.T, dir string) {
	t.Helper()
	for path, part := range x.files {
		text, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		contains(t, string(text), part)
	}
	for _, path := range x.none {
		if _, err := os.Stat(filepath.Join(dir, path)); err == nil {
			t.Errorf("%s is there", path)
		}
	}
}

// TestApprovalExample checks that nothing is removed before this run is approved, and that the approval of another
// run does not count.
func TestApprovalExample(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		dir := t.TempDir()
		old := filepath.Join(dir, "old.log")
		for _, path := range []string{old, filepath.Join(dir, "approved-by-mistake")} {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args := []string{"run", "../examples/pipelines/approval-cleanup.yaml", "--set", "dir=" + dir, "--set", "days=0"}
		late := p.run(t, append(args, "--set", "patience=300ms", "-o", "json")...)
		if got := decode[document](t, late.stdout).
			ending(); got != "preview Completed, approval Failed, remove upstream_failed" || late.code != 1 {
			t.Errorf("without approval: exit code %d, %s", late.code, got)
		}
		if _, err := os.Stat(old); err != nil {
			t.Fatal("removed without approval: ", err)
		}
		run := p.begin(t, append(args, "-o", "json")...)
		var id string
		dbtest.Eventually(t, "it waits for the approval", func() bool {
			_, rest, found := strings.Cut(run.stderr.String(), "approve with: touch approved-")
			if id, _, _ = strings.Cut(rest, "\n"); !found || id == "" {
				return false
			}
			return strings.Contains(run.stderr.String(), "approval deferred until ")
		})
		if err := os.WriteFile(filepath.Join(dir, "approved-"+id), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := run.wait(t); r.code != 0 {
			t.Errorf("approved: exit code %d\n%s", r.code, r.stderr)
		}
		if _, err := os.Stat(old); err == nil {
			t.Error("not removed after the approval")
		}
	})
}

// TestEveryExampleIsRun checks that each file in examples/pipelines has a run above.
func TestEveryExampleIsRun(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../examples/pipelines/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	run := map[string]bool{"approval-cleanup": true}
	for _, x := range examples {
		run[x.pipeline] = true
	}
	have := map[string]bool{}
	for _, f := range files {
		have[strings.TrimSuffix(filepath.Base(f), ".yaml")] = true
	}
	if diff := cmp.Diff(have, run); diff != "" {
		t.Errorf("examples (-files +runs):\n%s", diff)
	}
}
