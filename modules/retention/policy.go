// Package retention removes what has been kept long enough: events, outputs and logs of executions that have ended, and whole
// executions. It touches nothing that has not ended, works in small transactions with rests between them, and leaves a mark
// wherever an execution goes on without what was removed.
package retention

import (
	"context"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/db"
)

// Kind is a sort of data that is kept for a while.
type Kind string

// The kinds. Executions is all there is of one.
const (
	Events     Kind = "events"
	Outputs    Kind = "outputs"
	Logs       Kind = "logs"
	Executions Kind = "executions"
)

// Kinds lists every kind, in the order in which they are removed: what goes whole needs no marks first.
func Kinds() []Kind { return []Kind{Executions, Events, Outputs, Logs} }

// Ages says how long after an execution's end each kind is kept. A kind that is missing, or 0, is kept for ever.
type Ages map[Kind]time.Duration

// AgesOf reads the retention block of a definition.
func AgesOf(r *definition.Retention) Ages {
	if r == nil {
		return nil
	}
	return Ages{Events: r.Events, Outputs: r.Outputs, Logs: r.Logs, Executions: r.Executions}
}

// over gives the ages with those of a pipeline's own in front.
func (a Ages) over(own Ages) Ages {
	out := Ages{}
	for _, k := range Kinds() {
		if out[k] = own[k]; out[k] == 0 {
			out[k] = a[k]
		}
	}
	return out
}

// cutoff is the instant before which a pipeline's executions must have ended.
type cutoff struct {
	pipeline string
	at       db.Time
}

// cutoffs works out, for each kind, which pipelines it is removed of and from when on.
func (k *Keeper) cutoffs(ctx context.Context, o Options) (map[Kind][]cutoff, error) {
	names := []string{o.Pipeline}
	if o.Pipeline == "" {
		var err error
		if names, err = k.store.pipelines(ctx); err != nil {
			return nil, err
		}
	}
	own, err := k.own(ctx)
	if err != nil {
		return nil, err
	}
	now := k.db.Now()
	out := map[Kind][]cutoff{}
	for _, name := range names {
		for kind, age := range o.Ages.over(own[name]) {
			if age > 0 {
				out[kind] = append(out[kind], cutoff{name, db.At(now.Add(-age))})
			}
		}
	}
	return out, nil
}

// own gives the ages that registered pipelines set for themselves.
func (k *Keeper) own(ctx context.Context) (map[string]Ages, error) {
	names, err := k.pipelines.Names(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]Ages{}
	for _, name := range names {
		def, err := k.engine.Registered(ctx, name)
		if err != nil {
			return nil, err
		}
		if def.Retention != nil {
			out[name] = AgesOf(def.Retention)
		}
	}
	return out, nil
}
