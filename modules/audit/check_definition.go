package audit

import (
	"fmt"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

var definitionColumns = []string{"pipeline_name", "version", "definition"}

// checkDefinitions checks that the version of each stored definition is the hash of its content. It checks all
// definitions, or those of the given executions.
func checkDefinitions(g *gorm.DB, r *run, ids []dbtype.ID) error {
	query, args := "SELECT d.pipeline_name, d.version, d.definition FROM "+table(g, "pipeline_definitions")+
		" AS d", []any(nil)
	if len(ids) > 0 {
		query += " WHERE EXISTS (SELECT 1 FROM " + table(g, "pipeline_executions") +
			" AS p WHERE p.pipeline_name = d.pipeline_name AND p.definition_version = d.version AND p.id IN ?)"
		args = append(args, ids)
	}
	err := scan(g, definitionColumns, query+" ORDER BY d.pipeline_name, d.version", args, func(x *rawRow) {
		r.report.Definitions++
		name, version, doc := x.text(0), x.text(1), x.cells[2].b
		if definition.HasVersion(doc, version) {
			return
		}
		found := "a definition that is not JSON"
		if is, err := definition.VersionOf(doc); err == nil {
			found = "a definition whose content has the hash " + is
		}
		r.add(Violation{
			Invariant: Definition,
			Found:     fmt.Sprintf("%s of pipeline %s, version %s", found, short(name), short(version)),
			Expected:  "the version is the hash of the content",
		})
	})
	if err != nil {
		return fmt.Errorf("read definitions: %w", err)
	}
	return nil
}
