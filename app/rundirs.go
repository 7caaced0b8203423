package app

import (
	"context"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/rundirs"
	"github.com/sluiceworks/sluice/platform/db"
)

// runDirsFlag is the flag for the place of the directories of runs. run, serve and cleanup share it, so that one
// configuration file serves all of them.
type runDirsFlag struct{ dir string }

func (f *runDirsFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "run-dirs", "",
		"keep the directories of runs, $SLUICE_RUN_DIR, below `DIR` (default: $XDG_STATE_HOME/sluice/runs, else "+
			"~/.local/state/sluice/runs)")
}

func (f *runDirsFlag) store() (*rundirs.Store, error) { return rundirs.New(f.dir) }

// sweepRunDirs removes this machine's directories of runs that the context's tenant no longer keeps.
func sweepRunDirs(ctx context.Context, s *rundirs.Store, d *db.DB, log *zap.Logger) {
	dirs, err := s.Of(ctx, d)
	removed := 0
	if err == nil {
		removed, err = dirs.Sweep(ctx)
	}
	if removed > 0 {
		log.Info("removed directories of runs", zap.Int("directories", removed))
	}
	if err != nil && ctx.Err() == nil {
		log.Warn("removing directories of runs failed, and is tried again", zap.Error(err))
	}
}
