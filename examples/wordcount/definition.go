package wordcount

import (
	"encoding/json"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// newDefinition is the pipeline. What it leaves out, such as timeouts, gets its default when the program checks it.
func newDefinition() *definition.Definition {
	retry := tasks.DefaultRetryPolicy()
	retry.MaxAttempts = 3
	return &definition.Definition{
		Name: "wordcount",
		Input: []definition.InputField{
			{
				Name: "dir", Type: definition.TypeString, Default: json.RawMessage(`"."`),
				Description: "the directory to look through",
			},
			{
				Name: "pattern", Type: definition.TypeString, Default: json.RawMessage(`"*.md"`),
				Description: "the names of the files to count",
			},
		},
		Tasks: []definition.Task{
			{
				ID: "find", Uses: "wordcount.find",
				With: json.RawMessage(`{"dir": "${{ input.dir }}", "pattern": "${{ input.pattern }}"}`), Retry: retry,
			},
			{
				ID: "words", Needs: []string{"find"}, Uses: "wordcount.count",
				With: json.RawMessage(`{"files": "${{ needs.find.files }}", "what": "words"}`), Retry: retry,
			},
			{
				ID: "lines", Needs: []string{"find"}, Uses: "wordcount.count",
				With: json.RawMessage(`{"files": "${{ needs.find.files }}", "what": "lines"}`), Retry: retry,
			},
			{
				ID: "report", Needs: []string{"find", "words", "lines"}, Uses: "wordcount.report",
				With: json.RawMessage(`{"files": "${{ needs.find.files }}", "words": "${{ needs.words.total }}", ` +
					`"lines": "${{ needs.lines.total }}"}`),
			},
		},
	}
}
