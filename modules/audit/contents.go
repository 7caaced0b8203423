package audit

import (
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/modules/seal"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// contents is what a seal of form 2 covers in addition to the history: the sealed parts and the present ones.
type contents struct {
	text   string      // of the sealed parts, as stored
	sealed *seal.Parts // nil: the text cannot be read
	bad    error       // why it cannot be read
	now    seal.Parts
	tasks  map[dbtype.ID]string // the hash of each present output
}

var (
	contentColumns = []string{"id", "idempotency_key", "seal_parts", "input"}
	outputColumns  = []string{"pipeline_execution_id", "id", "output"}
	labelColumns   = []string{"pipeline_execution_id", "name", "value"}
)

// loadContents reads what the seals of form 2 on the page cover. Each input, output and definition is hashed when it
// is read, so only one of them is in memory at a time.
func (p *page) loadContents() error {
	var ids []dbtype.ID
	for _, x := range p.pipelines {
		if x.seal != "" && x.sealed == x.version && !x.version.bad {
			ids = append(ids, x.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	of := func(column string) string { return " WHERE " + column + " IN ?" }
	executions := table(p.g, "pipeline_executions")
	for _, part := range []struct {
		what, query string
		columns     []string
		row         func(*rawRow)
	}{
		{
			"what is sealed", "SELECT id, idempotency_key, seal_parts, input FROM " + executions +
				of("id") + " AND seal_parts IS NOT NULL",
			contentColumns, p.addContents,
		},
		{
			"labels", "SELECT pipeline_execution_id, name, value FROM " + table(p.g, "execution_labels") +
				of("pipeline_execution_id"),
			labelColumns, p.addLabel,
		},
		{
			"outputs", "SELECT pipeline_execution_id, id, output FROM " + table(p.g, "task_executions") +
				of("pipeline_execution_id") + " AND output IS NOT NULL",
			outputColumns, p.addOutput,
		},
		{
			"sealed definitions", "SELECT d.pipeline_name, d.version, d.definition FROM " +
				table(p.g, "pipeline_definitions") +
				" AS d WHERE EXISTS (SELECT 1 FROM " + executions + " AS p" +
				" WHERE p.pipeline_name = d.pipeline_name AND p.definition_version = d.version AND p.id IN ?)",
			definitionColumns, p.addDefinition,
		},
	} {
		if err := scan(p.g, part.columns, part.query, []any{ids}, part.row); err != nil {
			return fmt.Errorf("read %s: %w", part.what, err)
		}
	}
	return nil
}

func (p *page) addContents(r *rawRow) {
	x, ok := p.byID[r.id(0)]
	if !ok {
		return
	}
	c := &contents{text: strings.Clone(string(r.cells[2].b)), tasks: map[dbtype.ID]string{}}
	c.sealed, c.bad = seal.ReadParts(c.text)
	c.now.Header = x.header()
	c.now.IdempotencyKey, c.now.Input = r.text(1), seal.Hash(r.cells[3].b)
	x.contents = c
}

// contentsOf returns the sealed contents of an execution, or nil for one without a seal of form 2.
func (p *page) contentsOf(id dbtype.ID) *contents {
	if x, ok := p.byID[id]; ok {
		return x.contents
	}
	return nil
}

func (p *page) addLabel(r *rawRow) {
	if c := p.contentsOf(r.id(0)); c != nil {
		c.now.Labels = append(c.now.Labels, seal.Label{Name: r.text(1), Value: r.text(2)})
	}
}

func (p *page) addOutput(r *rawRow) {
	c := p.contentsOf(r.id(0))
	if c == nil {
		return
	}
	if sum := seal.Hash(r.cells[2].b); sum != "" {
		c.tasks[r.id(1)] = sum
	}
}

func (p *page) addDefinition(r *rawRow) {
	name, version, sum := r.text(0), r.text(1), seal.Hash(r.cells[2].b)
	for _, x := range p.pipelines {
		if x.contents != nil && x.name == name && x.definition == version {
			x.contents.now.Definition = sum
		}
	}
}
