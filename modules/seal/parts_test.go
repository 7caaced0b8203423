package seal

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func mustID(t *testing.T, s string) dbtype.ID {
	t.Helper()
	id, err := dbtype.ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// example is the execution of docs/seal.md.
func example(t *testing.T) Parts {
	t.Helper()
	run, task := mustID(t, "0197c2a4-7b1e-7abc-8000-000000000001"), mustID(t, "0197c2a4-7b1e-7abc-8000-000000000002")
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC).UnixMicro()
	var d Digest
	for _, e := range []Event{
		{
			ID: mustID(t, "0197c2a4-7b1e-7abc-8000-000000000003"), Version: 1, Type: events.PipelineStarted,
			Data:  []byte(`{"task_count": 1, "pipeline": "nightly", "definition_version": "5f3c0a9d2b7e4811"}`),
			Actor: "cli:ada", CreatedAt: at,
		},
		{
			ID: mustID(t, "0197c2a4-7b1e-7abc-8000-000000000004"), TaskExecutionID: task, Version: 1,
			Type: events.TaskCompleted,
			Data: []byte(`{"duration_ms": 1.50e1, "attempt": 1}`), Worker: "w1", CreatedAt: at,
		},
		{
			ID: mustID(t, "0197c2a4-7b1e-7abc-8000-000000000005"), Version: 2, Type: events.PipelineCompleted,
			Data: []byte(`{"counts": {"Completed": 1}, "duration_ms": 20}`), CreatedAt: at,
		},
	} {
		d.Add(&e)
	}
	return Parts{
		Header: Header{
			PipelineExecutionID: run, PipelineName: "nightly", DefinitionVersion: "5f3c0a9d2b7e4811",
			Version: 2,
		},
		Input:          Hash([]byte(`{"day": "2026-11-20", "amount": 1.10}`)),
		IdempotencyKey: "nightly-2026-11-20",
		Definition:     Hash([]byte(`{"name": "nightly", "tasks": []}`)),
		Labels:         []Label{{"team", "data"}, {"env", "prod"}},
		Events:         d.History(),
		Outputs:        []Output{{task, Hash([]byte(`{"rows": 12, "note": "é<\u0041"}`))}},
	}
}

// TestExampleOfTheDocs checks that the bytes of form 2 and their seal equal those in docs/seal.md, so that a change
// of the form is noticed.
func TestExampleOfTheDocs(t *testing.T) {
	p := example(t)
	docs, err := os.ReadFile("../../docs/seal.md")
	if err != nil {
		t.Fatal(err)
	}
	text := p.Text()
	indented := "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
	if !strings.Contains(string(docs), indented) {
		t.Errorf("docs/seal.md does not hold these parts:\n%s", indented)
	}
	if seal := Of(text); !strings.Contains(string(docs), "`"+seal+"`") {
		t.Errorf("docs/seal.md does not hold their seal: %s", seal)
	}
}

// TestReadParts checks that ReadParts reads what Text writes and refuses other text.
func TestReadParts(t *testing.T) {
	p := example(t)
	text := p.Text()
	read, err := ReadParts(text)
	if err != nil {
		t.Fatal(err)
	}
	if read.Text() != text {
		t.Fatalf("got\n%s", read.Text())
	}
	if empty, err := ReadParts((&Parts{Header: p.Header}).Text()); err != nil || empty.Input != "" {
		t.Errorf("%+v, %v", empty, err)
	}
	for _, bad := range []string{
		"", "x", text + "\n", strings.TrimSuffix(text, "\n"), strings.Replace(text, `,"w`, `, "w`, 1) + `["more","x"]` +
			"\n",
		strings.Replace(text, Form2, "sluice-seal/3", 1), strings.Replace(text, `"nightly"`, `7`, 1),
		strings.Replace(text, ",2,", ",2.0,", 1),
		strings.Replace(text, `["label","env","prod"]`+"\n", "", 1) + `["label","env","prod"]` + "\n",
	} {
		if _, err := ReadParts(bad); !errors.Is(err, ErrParts) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestHash(t *testing.T) {
	if Hash(nil) != "" || Hash([]byte(" null ")) != "" {
		t.Error("no document has a hash")
	}
	a, b, c := Hash([]byte(`{"b":1.10,"a":"x"}`)), Hash([]byte(`{ "a": "\u0078", "b": 11.0e-1 }`)),
		Hash([]byte(`{"a":"x","b":1.1}`))
	if a != b || a == c {
		t.Errorf("%s, %s, %s: the same document, and one with other digits", a, b, c)
	}
}
