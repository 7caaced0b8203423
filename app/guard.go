package app

import (
	"path/filepath"
	"slices"

	"github.com/sluiceworks/sluice/modules/handlers/http"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// guardFiles keeps downloads of tasks from replacing the database and the configuration. It must be called before the
// first task runs.
func (c *cli) guardFiles(handlers *tasks.Registry, d *db.DB) {
	named, _ := handlers.Handler("http")
	h, ok := named.(*http.Handler)
	if !ok {
		return
	}
	var config []string
	for _, name := range []string{defaultConfig, c.config} {
		if name == "" {
			continue
		}
		if path, err := filepath.Abs(name); err == nil {
			config = append(config, path)
			if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
				config = append(config, filepath.Join(dir, filepath.Base(path)))
			}
		}
	}
	h.Guarded = func(path string) bool { return d.OwnsFile(path) || slices.Contains(config, path) }
}
