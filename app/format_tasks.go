package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/modules/views"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// printTasks prints a document as printJSON does, with the tasks in place of its empty list "tasks". It reads and
// writes their outputs a few at a time, so that memory does not hold all of them.
func printTasks(ctx context.Context, w *terminal.Writer, doc any, list []views.Task, from *taskstore.Repository) error {
	whole, err := indented(doc, "")
	if err != nil {
		return err
	}
	const empty = "\n  \"tasks\": []"
	before, after, found := bytes.Cut(whole, []byte(empty))
	if !found {
		return fmt.Errorf("write the answer: it has no empty list of tasks")
	}
	if len(list) == 0 {
		return printJSON(w, doc)
	}
	out := w.JSONLines()
	write := func(b []byte) error {
		if _, err := out.Write(b); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		return nil
	}
	if err := write(append(before, "\n  \"tasks\": ["...)); err != nil {
		return err
	}
	separator := "\n    "
	for part := range slices.Chunk(list, tasks.OutputsAtOnce) {
		ids := make([]dbtype.ID, len(part))
		for i := range part {
			ids[i] = part[i].TaskExecutionID
		}
		outputs, err := from.OutputsOf(ctx, ids)
		if err != nil {
			return err
		}
		for _, t := range part {
			t.Output = outputs[t.TaskExecutionID]
			text, err := indented(t, "    ")
			if err != nil {
				return err
			}
			if err := write(append([]byte(separator), text...)); err != nil {
				return err
			}
			separator = ",\n    "
		}
	}
	return write(append([]byte("\n  ]"), append(after, '\n')...))
}

// indented encodes a value as printJSON does, without the line feed at the end.
func indented(v any, prefix string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, "  ")
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write the answer: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
