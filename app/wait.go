package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/views"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// errTimeout ends a wait whose time is over.
var errTimeout = errors.New("the time is over")

type waitNeeds struct {
	fx.In
	DB         *db.DB
	Executions *engine.Repository
	Log        *zap.Logger
}

// awaited is a wait for executions.
type awaited struct {
	waitNeeds
	ids   []dbtype.ID
	found map[dbtype.ID]pipelines.Execution // as of the last poll
	ended func(pipelines.Execution) error
}

func (c *cli) waitCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait ID…",
		Short: "Wait until executions have ended",
		Long: `Waits until all the executions have ended, and prints each as it ends; with -o json it prints all of them
at the end. It works nothing off itself, and waits for a database that goes away.

Exit codes: 0 all have completed; 1 all have ended, and one of them Failed or was Cancelled; 124 the time of --timeout
was over before.`,
		Example: `  sluice wait latest
  sluice wait $(sluice start orders --count 10) --timeout 1h
  sluice wait ID -o json`,
		Args: arguments(1, -1, "the id of an execution"),
	}
	cmd.Flags().Var(&durationFlag{&timeout, time.Millisecond}, "timeout",
		"wait for at most `DURATION`; the executions go on all the same (default: for ever)")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkIDs(args...); err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n waitNeeds) error {
			ids, err := resolveIDs(ctx, n.Executions, args)
			if err != nil {
				return err
			}
			w := &awaited{
				waitNeeds: n, ids: ids, found: map[dbtype.ID]pipelines.Execution{},
				ended: func(x pipelines.Execution) error { return nil },
			}
			if *format != formatJSON {
				w.ended = c.printEnded
			}
			waiting := w.run(ctx, timeout)
			if waiting != nil && !errors.Is(waiting, errTimeout) {
				return waiting
			}
			if *format == formatJSON {
				if err := c.printWaited(context.WithoutCancel(ctx), w); err != nil {
					return err
				}
			}
			return w.outcome(waiting)
		})
	}
	return cmd
}

// outcome returns the error that the command ends with.
func (w *awaited) outcome(waiting error) error {
	open, bad := 0, 0
	for _, x := range w.found {
		switch {
		case !x.Status.Terminal():
			open++
		case x.Status != pipelines.Completed:
			bad++
		}
	}
	switch {
	case waiting != nil && len(w.ids) == 1:
		return withHint(fmt.Errorf("%w: the execution has not ended", errTimeout), "`sluice show "+w.ids[0].String()+
			"` says how it stands")
	case waiting != nil:
		return fmt.Errorf("%w: %d of %s have not ended", errTimeout, open, counted(int64(len(w.ids)), "execution"))
	case bad > 0:
		return exitStatus(exitFailed)
	}
	return nil
}

// run waits until all executions have ended. It returns errTimeout when the time is over; a timeout of 0 is
// unlimited.
func (w *awaited) run(ctx context.Context, timeout time.Duration) error {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if timeout > 0 {
		limited, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
	}
	defer cancel()
	notified := make(chan struct{}, 1)
	listening := make(chan error, 1)
	listenCtx, stop := context.WithCancel(limited)
	go func() {
		listening <- w.DB.Listen(listenCtx, func(string) {
			select {
			case notified <- struct{}{}:
			default:
			}
		})
	}()
	defer func() {
		stop()
		if err := <-listening; err != nil {
			w.Log.Info("not listening to other processes: ends of runs are found by polling", zap.Error(err))
		}
	}()
	pause := engine.FirstEndPoll
	for reached := false; ; {
		done, err := w.poll(limited)
		switch {
		case err == nil && done:
			return nil
		case limited.Err() != nil && ctx.Err() == nil:
			return errTimeout
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !(reached && errors.Is(err, db.ErrUnavailable)):
			return err
		case err != nil:
			w.Log.Warn("the database is away, trying again", zap.Error(err))
		}
		reached = true
		timer := time.NewTimer(pause)
		select {
		case <-limited.Done():
		case <-notified:
		case <-timer.C:
			pause = engine.NextEndPoll(pause)
		}
		timer.Stop()
	}
}

// poll reads the executions that had not ended, and reports whether all have ended now.
func (w *awaited) poll(ctx context.Context) (done bool, err error) {
	var open []dbtype.ID
	for _, id := range w.ids {
		if !w.found[id].Status.Terminal() {
			open = append(open, id)
		}
	}
	found, err := w.Executions.Find(ctx, open)
	if err != nil {
		return false, err
	}
	left := 0
	for _, id := range open {
		x, ok := found[id]
		if !ok {
			return false, fmt.Errorf("%w: %s", pipelines.ErrExecutionNotFound, id)
		}
		w.found[id] = x
		if !x.Status.Terminal() {
			left++
		} else if err := w.ended(x); err != nil {
			return false, err
		}
	}
	return left == 0, nil
}

// printEnded writes the line of an execution that has ended.
func (c *cli) printEnded(x pipelines.Execution) error {
	line := fmt.Sprintf("%s %s %s in %s", x.ID, terminal.Inline(x.PipelineName),
		paintFor(c.stdout).status(string(x.Status)), between(x.CreatedAt, x.CompletedAt))
	if x.Error != "" {
		line += ": " + errorLine(string(x.Error), 100)
	}
	if _, err := fmt.Fprintln(c.stdout, line); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// printWaited writes all executions in their current state, in the order of the arguments.
func (c *cli) printWaited(ctx context.Context, w *awaited) error {
	list := make([]pipelines.Execution, len(w.ids))
	for i, id := range w.ids {
		var err error
		if list[i], err = w.Executions.Get(ctx, id); err != nil {
			return err
		}
	}
	starts, err := w.Executions.Starts(ctx, list)
	if err != nil {
		return err
	}
	return printList(c.stdout, views.OfExecutions(list, starts, w.DB.Now()), "")
}
