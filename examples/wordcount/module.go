// Package wordcount is an example of an extension: three typed handlers and the pipeline that uses them. It lists the
// text files of a directory, counts their words and their lines side by side, and puts the sums together. Start it by
//
//	sluice run wordcount --set dir=docs
package wordcount

import (
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// Module is what main.go names.
var Module = fx.Module("wordcount",
	tasks.ProvideHandler(newFind),
	tasks.ProvideHandler(newCount),
	tasks.ProvideHandler(newReport),
	pipelines.ProvideDefinition(newDefinition),
)
