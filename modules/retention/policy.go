// Package retention removes data whose retention time has passed: events, outputs and logs of ended executions, and
// whole executions. It changes nothing that has not ended. It works in small transactions with pauses between them.
// Where an execution remains without some of its data, it records that in the execution's row.
package retention

import (
	"context"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Kind is a kind of data with a retention time.
type Kind string

// The kinds. Executions stands for a whole execution with all its rows.
const (
	Events     Kind = "events"
	Outputs    Kind = "outputs"
	Logs       Kind = "logs"
	Executions Kind = "executions"
)

// Kinds returns every kind in the order of removal. Executions come first, because they need no marks for the other
// kinds.
func Kinds() []Kind { return []Kind{Executions, Events, Outputs, Logs} }

// Policy maps each kind to how long it is kept after the end of its execution. A kind that is missing or 0 is kept for
// ever.
type Policy map[Kind]time.Duration

// PolicyOf returns the ages in the retention block of a definition. It returns nil for nil.
func PolicyOf(r *definition.Retention) Policy {
	if r == nil {
		return nil
	}
	return Policy{Events: r.Events, Outputs: r.Outputs, Logs: r.Logs, Executions: r.Executions}
}

// over returns the ages with those of own, where set, in place of a's.
func (a Policy) over(own Policy) Policy {
	out := Policy{}
	for _, k := range Kinds() {
		if out[k] = own[k]; out[k] == 0 {
			out[k] = a[k]
		}
	}
	return out
}

// cutoff is a pipeline and the time before which its executions must have ended.
type cutoff struct {
	pipeline string
	at       dbtype.Time
}

// cutoffs returns, for each kind, the pipelines that the kind is removed from and their cutoffs.
func (k *Cleaner) cutoffs(ctx context.Context, o Options) (map[Kind][]cutoff, error) {
	names := []string{o.Pipeline}
	if o.Pipeline == "" {
		var err error
		if names, err = k.store.pipelines(ctx); err != nil {
			return nil, err
		}
	}
	own, err := k.ownPolicy(ctx)
	if err != nil {
		return nil, err
	}
	now := k.db.Now()
	out := map[Kind][]cutoff{}
	for _, name := range names {
		for kind, age := range o.Ages.over(own[name]) {
			if age > 0 {
				out[kind] = append(out[kind], cutoff{name, dbtype.NewTime(now.Add(-age))})
			}
		}
	}
	return out, nil
}

// ownPolicy returns the ages of the registered pipelines that set their own.
func (k *Cleaner) ownPolicy(ctx context.Context) (map[string]Policy, error) {
	names, err := k.pipelines.Names(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]Policy{}
	for _, name := range names {
		def, err := k.engine.Registered(ctx, name)
		if err != nil {
			return nil, err
		}
		if def.Retention != nil {
			out[name] = PolicyOf(def.Retention)
		}
	}
	return out, nil
}
