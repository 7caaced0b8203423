package app_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// resealed returns an export with a trailer that fits its changed lines.
func resealed(text string) string {
	all := slices.Collect(strings.Lines(text))
	body := strings.Join(all[:len(all)-1], "")
	return body + regexp.MustCompile(`"sha256":"[0-9a-f]*"`).
		ReplaceAllString(all[len(all)-1], fmt.Sprintf(`"sha256":"%x"`, sha256.Sum256([]byte(body))))
}

// TestImportBelievesNothing checks that everything that a file says about itself is recomputed, that every number has
// a bound, and that a refused file leaves nothing, not even a reserved number.
func TestImportBelievesNothing(t *testing.T) {
	t.Parallel()
	source := &program{url: dbtest.SQLiteURL(t)}
	trusted := file(t, "trusted.yaml", "name: trusted\nlabels: {team: red}\ntasks: [{id: a, run: 'echo hello'}]\n")
	source.ok(t, "run", trusted)
	_, text := source.export(t, "--all")
	event := regexp.MustCompile(`"sequence_num":[0-9]+`)
	stranger := "0197c2a4-7b1e-7000-8000-0123456789ab"
	execution := source.newest(t).Execution.ID
	long := strings.Repeat("x", 1025)
	field := func(name, value string) string {
		return regexp.MustCompile(`"`+name+`":("[^"]*"|null)`).ReplaceAllString(text, `"`+name+`":"`+value+`"`)
	}
	label := func(name, value string) string {
		return lastOf(text, `{"execution":`, `{"team":"red"}`, `{"`+name+`":"`+value+`"}`)
	}
	files := map[string]struct{ text, words string }{
		"another command behind the hash": {
			strings.Replace(text, `"run":"echo hello"`, `"run":"touch evil.txt"`, 1),
			"and its content has the hash",
		},
		"no definition": {
			regexp.MustCompile(`("version":"[0-9a-f]*","definition":)\{.*\},"registered_at"`).
				ReplaceAllString(text, `$1"not a def","registered_at"`), "and its content has the hash",
		},
		"the greatest number": {regexp.MustCompile(`"highest_sequence_num":[0-9]+`).ReplaceAllString(text,
			`"highest_sequence_num":9223372036854775807`), "the sequence_num 9223372036854775807"},
		"numbers near the end": {strings.ReplaceAll(text, `"sequence_num":`,
			`"sequence_num":9223372036854775`), "sequence_num is 9223372036854775"},
		"negative numbers": {
			strings.ReplaceAll(text, `"sequence_num":`, `"sequence_num":-`),
			"sequence_num -1 is not more than",
		},
		"one number twice": {
			event.ReplaceAllString(text, `"sequence_num":1`),
			"is not more than that of the event before it",
		},
		"a version beyond bounds": {strings.Replace(text, `"status":"Completed","version":2`,
			`"status":"Completed","version":4294967296`, 1), "version is 4294967296"},
		"an unknown status": {
			strings.Replace(text, `"status":"Completed"`, `"status":"Done"`, 1),
			`unknown status "Done"`,
		},
		"a time beyond bounds": {regexp.MustCompile(`"completed_at":"[^"]*"`).
			ReplaceAllString(text, `"completed_at":"0001-02-01T00:00:00Z"`), "is not from 1970 to 9999"},
		"an event of another execution": {lastOf(text, `{"event":`, execution, stranger), "which is not before it"},
		"a long skip reason": {
			field("skip_reason", long),
			"line 4: skip_reason has 1025 bytes, more than the limit of 1024",
		},
		"a NUL in a skip reason": {
			field("skip_reason", `\u0000`),
			"line 4: skip_reason holds a NUL character",
		},
		"a long kind of error": {
			field("error_kind", long),
			"line 4: error_kind has 1025 bytes, more than the limit of 1024",
		},
		"a NUL in a kind of error": {field("error_kind", `\u0000`), "line 4: error_kind holds a NUL character"},
		"a long label": {
			label("team", long),
			`line 3: the label "team" has 1025 bytes, more than the limit of 1024`,
		},
		"a NUL in a label":       {label("team", `\u0000`), `line 3: the label "team" holds a NUL character`},
		"a long name of a label": {label(long, "red"), "line 3: the name of a label has 1025 bytes"},
		"a NUL in the name of a label": {
			label(`\u0000`, "red"),
			"line 3: the name of a label holds a NUL character",
		},
		"a label without a name": {label("", "red"), "line 3: the name of a label is empty"},
		"a log beyond its limit": {
			strings.Replace(text, `"text":"`, `"text":"`+strings.Repeat("x", 5<<20), 1),
			"text has 52428",
		},
		"a log of no stream": {
			strings.Replace(text, `"stream":"stdout"`, `"stream":"stdin"`, 1),
			`stream is "stdin": expected stdout or stderr`,
		},
		"two things in one line": {
			strings.Replace(text, `{"event":{`, `{"event":{},"definition":{`, 1),
			"it holds 2 things",
		},
		"an unknown field": {
			strings.Replace(text, `{"event":{`, `{"event":{"evil":1,`, 1),
			`unknown field "evil"`,
		},
		"another number of open ones": {
			strings.Replace(text, `"open_executions":0`, `"open_executions":7`, 1),
			"its trailer has 7 open executions",
		},
	}
	each(t, func(t *testing.T, p *program) {
		for what, c := range files {
			if c.text == text {
				t.Fatalf("%s: the change changes nothing", what)
			}
			t.Log(what)
			p.fails(t, 2, []string{c.words, "nothing was written"}, "import", file(t, "bad.jsonl", resealed(c.text)))
		}
		p.nothing(t)
		// What only the history shows is found within the transaction.
		unfaithful := resealed(strings.Replace(text, `"attempt":1,"max_attempts":1`, `"attempt":3,"max_attempts":1`, 1))
		contains(t, p.run(t, "import", file(t, "bad.jsonl", unfaithful), "-o", "json").stdout, `"unheld": []`)
		r := p.run(t, "import", file(t, "bad.jsonl", unfaithful))
		if r.code != 1 || !strings.Contains(r.stdout, "I2 faithful") ||
			!strings.Contains(r.stdout, "nothing was imported") {
			t.Errorf("%+v", r)
		}
		p.nothing(t)
		contains(t, p.ok(t, "import", file(t, "good.jsonl", text)), "imported 1 execution", "1 definition: no breach",
			"does not cover: logs")
		p.ok(t, "run", trusted)
		contains(t, p.ok(t, "verify"), "no breach")
	})
}

// lastOf replaces a text in the last line that begins with a prefix.
func lastOf(text, prefix, old, with string) string {
	all := slices.Collect(strings.Lines(text))
	for i := len(all) - 1; i >= 0; i-- {
		if strings.HasPrefix(all[i], prefix) {
			all[i] = strings.Replace(all[i], old, with, 1)
			break
		}
	}
	return strings.Join(all, "")
}

// TestImportChangesNoName checks that `start NAME` uses the definition that was registered before an import.
func TestImportChangesNoName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		source := &program{url: dbtest.SQLiteURL(t)}
		dir := t.TempDir()
		register := func(p *program, command string) {
			if err := os.WriteFile(filepath.Join(dir, "p.yaml"),
				[]byte("name: deploy\ntasks: [{id: a, run: '"+command+"'}]\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			s := p.begin(t, "serve", "--pipelines", dir)
			dbtest.Eventually(t, "the registration", func() bool { return p.run(t, "start", "deploy").code == 0 })
			s.stop(t)
		}
		register(p, "echo ours")
		register(source, "echo theirs")
		_, text := source.export(t, "--all")
		text = regexp.MustCompile(`"registered_at":"[0-9]{4}`).ReplaceAllString(text, `"registered_at":"9998`)
		p.ok(t, "import", file(t, "theirs.jsonl", resealed(text)), "--include-open")
		started := p.start(t, "deploy")
		version := func(id string) string { return p.sealOf(t, id).Execution.DefinitionVersion }
		ours := decode[listing[execution]](t, p.ok(t, "list", "-o", "json")).Items
		if len(ours) < 3 || version(started) != version(ours[len(ours)-1].ID) {
			t.Errorf("the import changed what `start deploy` takes: %+v", ours)
		}
	})
}

// TestChangedDefinitionIsNotRun checks that a stored definition that does not match its version is found when a file
// is started, and when a run that is pinned to it is run.
func TestChangedDefinitionIsNotRun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		evil := filepath.Join(t.TempDir(), "evil")
		path := file(t, "trusted.yaml", "name: trusted\ntasks: [{id: a, run: 'true'}]\n")
		pinned := p.start(t, path)
		d := dbtest.Open(t, p.url)
		mustExec(t, d, `UPDATE {pipeline_definitions} SET definition = $doc`,
			db.Args{"doc": dbtype.JSON(`{"name":"trusted","tasks":[{"id":"a","run":"touch ` + evil +
				`","trigger_rule":"all_success","timeout":3600000000000,"retry":{"max_attempts":1,` +
				`"backoff":"exponential","delay":1000000000,"max_delay":3600000000000,"jitter":0.2},` +
				`"queue":"default","priority":"normal"}]}`)})
		for _, command := range []string{"start", "run"} {
			r := p.run(t, command, path)
			if r.code == 0 || !strings.Contains(r.stderr, "the stored definition is not what its version says") {
				t.Errorf("%s: %+v", command, r)
			}
		}
		r := p.run(t, "verify")
		if r.code != 1 || !strings.Contains(r.stdout, "definition definitions") {
			t.Errorf("%+v", r)
		}
		s := p.begin(t, "serve")
		dbtest.Eventually(t, "the end of the pinned run",
			func() bool { return strings.Contains(p.run(t, "list").stdout, "Failed") })
		s.stop(t)
		contains(t, p.ok(t, "show", pinned), "not what its version says")
		if _, err := os.Stat(evil); err == nil {
			t.Error("the foreign command ran")
		}
		mustExec(t, d, `DELETE FROM {pipeline_definitions}`, nil)
	})
}
