package definition

import (
	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
)

// MaxFile is the maximum size in bytes of the source of a pipeline.
const MaxFile = 1 << 20

// Parse parses a pipeline from YAML and does everything that Check does. Mistakes are reported under the name file. The
// error is of type Diagnostics and contains every mistake, up to a thousand, with its line, its column and usually a
// hint. If c is nil, handlers are not checked.
func Parse(file string, src []byte, c HandlerSource) (*Definition, error) {
	r := reader{&yamlfile.Decoder{List: "tasks", Defaults: "defaults"}}
	if root := r.Document(src, MaxFile); root != nil {
		if d, ok := r.pipeline(root); ok {
			d.check(r.Decoder, c)
			if len(r.Mistakes()) == 0 {
				d.warnings = diagnostics(file, r.Warnings())
				return d, nil
			}
		}
	}
	return nil, failure(file, r.Decoder)
}
