package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// latest can be given as the id of the newest execution, or with :NAME, of the newest execution of a pipeline.
const latest = "latest"

const idHint = "an id, at least 4 of its first hex digits, latest or latest:PIPELINE; `sluice list` shows the ids"

// ambiguousError means that several executions have a shortened id.
type ambiguousError struct {
	prefix     string
	candidates []pipelines.Execution
	more       bool // there are others
}

func (e *ambiguousError) Error() string {
	return fmt.Sprintf("%q is ambiguous: %s", e.prefix,
		counted(int64(len(e.candidates)), "execution")+map[bool]string{true: " and more"}[e.more]+" begin so")
}

// ids returns the candidates' ids.
func (e *ambiguousError) ids() []string {
	out := make([]string, len(e.candidates))
	for i, x := range e.candidates {
		out[i] = x.ID.String()
	}
	return out
}

// hint lists the candidates.
func (e *ambiguousError) hint() string {
	out := make([]string, len(e.candidates))
	for i, x := range e.candidates {
		out[i] = fmt.Sprintf("%s (%s, %s)", x.ID, x.PipelineName, x.Status)
	}
	return strings.Join(out, ", ")
}

// checkIDs returns an error for a text that cannot be the id of an execution. It does not need the database.
func checkIDs(args ...string) error {
	for _, s := range args {
		if _, _, ok := dbtype.PrefixRange(s); !ok && s != latest && !strings.HasPrefix(s, latest+":") {
			return withHint(usagef("invalid id %q", s), "expected "+idHint)
		}
	}
	return nil
}

// resolveIDs returns the ids of the executions that arguments name, each once.
func resolveIDs(ctx context.Context, r *engine.Repository, args []string) ([]dbtype.ID, error) {
	ids, seen := []dbtype.ID{}, map[dbtype.ID]bool{}
	for _, s := range args {
		id, err := resolveID(ctx, r, s)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			ids, seen[id] = append(ids, id), true
		}
	}
	return ids, nil
}

// resolveID returns the id of the execution that an argument names. It does not check that a complete id exists.
func resolveID(ctx context.Context, r *engine.Repository, s string) (dbtype.ID, error) {
	if err := checkIDs(s); err != nil {
		return dbtype.ID{}, err
	}
	if name, ok := strings.CutPrefix(s, latest); ok {
		name = strings.TrimPrefix(name, ":")
		found, err := r.IDs(ctx, engine.Filter{PipelineName: name, Limit: 1})
		switch {
		case err != nil:
			return dbtype.ID{}, err
		case len(found) == 0 && name != "":
			return dbtype.ID{}, fmt.Errorf("%w of %q", pipelines.ErrExecutionNotFound, name)
		case len(found) == 0:
			return dbtype.ID{}, pipelines.ErrExecutionNotFound
		}
		return found[0], nil
	}
	first, last, _ := dbtype.PrefixRange(s)
	if first == last {
		return first, nil
	}
	const most = 10
	found, err := r.Prefixed(ctx, first, last, most+1)
	switch {
	case err != nil:
		return dbtype.ID{}, err
	case len(found) == 0:
		return dbtype.ID{}, fmt.Errorf("%w: none begins with %s", pipelines.ErrExecutionNotFound, s)
	case len(found) > 1:
		return dbtype.ID{}, &ambiguousError{s, found[:min(most, len(found))], len(found) > most}
	}
	return found[0].ID, nil
}
