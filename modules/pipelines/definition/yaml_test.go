package definition_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

const everything = `name: everything
description: "yes"
labels: {team: "1", tier: gold}
retention: {events: 90d, logs: 36h}
timeout: 2h30m
input:
  day: {type: string, required: true, description: "a day: 2026-11-21", pattern: '^\d{4}-'}
  size: {type: integer, default: 3, choices: [1, 3, 9007199254740993]}
  ratio: {type: number, default: 1.10, min: 0.5, max: 1e3}
  tags: {type: array, default: ["null", null, true, "1.0", {a: "x\ny"}]}
  free:
defaults: {retry: {max_attempts: 3, delay: 250ms, jitter: 0}, timeout: 90s, env: {A: "true"}, shell: bash}
tasks:
  - id: a
    description: |
      two
      lines
    run: |
      echo "${{ input.day }}"
      exit 0
    permanent_exit_codes: [2, 64-78]
    skip_exit_codes: [99]
    working_directory: /tmp
    env_file: .env
  - id: b
    needs: [a]
    uses: http
    with: {url: "http://127.0.0.1/${{ input.day }}", headers: {X: "12"}, expect_status: [200]}
    queue: gpu
    priority: high
  - id: c
    needs: [a, b]
    trigger_rule: one_failed
    if: 'input.size > 1'
    run: "#!no comment"
    continue_on_error: true
    retry: {max_attempts: 1, backoff: fixed}
`

// TestYAML checks that YAML writes a file that is parsed as the same version, for every example and every setting.
func TestYAML(t *testing.T) {
	t.Parallel()
	var list []tasks.Handler
	for _, name := range []string{"shell", "http", "sleep", "wait"} {
		list = append(list, tasks.NewHandler(name,
			func(_ context.Context, in map[string]any) (any, error) { return in, nil }))
	}
	handlers, err := tasks.NewRegistry(list)
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string][]byte{"everything": []byte(everything)}
	paths, err := filepath.Glob("../../../examples/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d examples, %v", len(paths), err)
	}
	for _, path := range paths {
		if sources[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, src := range sources {
		def, err := definition.Parse(name, src, handlers)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := def.YAML()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := definition.Parse(name, text, handlers)
		if err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, text)
		}
		_, before, _ := def.Encode()
		_, after, _ := again.Encode()
		if before != after {
			t.Errorf("%s: version %s is read as %s from\n%s", name, before, after, text)
		}
	}
}
