package definition

import (
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
)

// Diagnostic is one mistake in a definition or in a run's input.
type Diagnostic struct {
	File    string // as passed to Parse; empty for a definition built in Go
	Line    int    // from 1; 0 without a file
	Column  int    // from 1, in characters
	Path    string // such as tasks[2].needs; empty for the whole definition
	Message string // what is wrong
	Hint    string // how to correct it; may be empty
}

// String returns the problem in one line, with file, line and column or else with its path, and with the hint in
// parentheses.
func (p Diagnostic) String() string {
	text := p.Message
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	switch {
	case p.Line > 0:
		return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, text)
	case p.Path != "":
		return p.Path + ": " + text
	}
	return text
}

// Diagnostics is the error of Parse, Check and CheckInput. It contains every mistake, in the order of the text if there
// is one.
type Diagnostics []Diagnostic

// Error returns one line per problem.
func (p Diagnostics) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// diagnostics converts the mistakes that were found in a file.
func diagnostics(file string, list []yamlfile.Mistake) Diagnostics {
	var out Diagnostics
	for _, m := range list {
		out = append(out, Diagnostic{
			File: file, Line: m.Line, Column: m.Column, Path: m.Path, Message: m.Message, Hint: m.Hint,
		})
	}
	return out
}

// failure returns the mistakes that were found in a file as an error, or nil. The file of a definition built in Go is
// empty.
func failure(file string, r *yamlfile.Decoder) error {
	if list := r.Mistakes(); len(list) > 0 {
		return diagnostics(file, list)
	}
	return nil
}

// taskPath returns the path of the task at an index.
func taskPath(i int) *yamlfile.Path { return yamlfile.Key("tasks").Item(i) }
