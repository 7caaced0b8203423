package audit

import (
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// event is one row of the history. Its data is valid only while its row is the current one.
type event struct {
	seq     int64
	typ     events.Type
	version number
	worker  string
	at      number
	data    []byte
}

func (e *event) ref() EventRef {
	r := EventRef{SequenceNum: e.seq, EventType: e.typ}
	if e.version.set {
		v := e.version.v // a copy, because the row's memory is reused
		r.Version = &v
	}
	if e.at.set {
		r.CreatedAt = dbtype.Time{Time: time.UnixMicro(e.at.v).UTC()}
	}
	return r
}

// problem is a breach without the task or pipeline that it belongs to.
type problem struct {
	invariant, found, expected string
}

// fold is the state of a task or a pipeline that its events lead to.
type fold interface {
	// apply applies one event, or returns why the event is not legal.
	apply(e *event) *problem
}

// How many events a report shows, and how many events may wait for an earlier version. Transactions may number their
// events in another order than they version them, but not by more than one batch writes for one task.
const (
	shownEvents = 3 // before the breach; shownAfter is for those after it
	shownAfter  = 2
	maxPending  = 16
)

// history reads the events of one task or pipeline in the order of their versions, and records what is wrong with
// them. It keeps only the first fault of each kind, because later ones follow from it.
type history struct {
	count      int64 // versions 1..count have been seen
	total      int   // events with a version
	last       int64 // the sequence_num of the last step
	newest     int64 // when the latest event was written, in microseconds since 1970
	pending    []event
	recent     [shownEvents]event
	incomplete bool // the versions are not 1..count: I1 has been reported
	disordered bool // sequence_num contradicts the version: I1 has been reported
	broken     bool // a step was not legal: the fold is as it was before it
	found      []breachAt
}

// breachAt is a problem and the events that led to it.
type breachAt struct {
	problem
	events []EventRef
	after  int // how many of the events came after it
}

// take adds the next event in the order of sequence_num. The event must not be an annotation.
func (h *history) take(f fold, e *event) {
	h.total++
	h.newest = max(h.newest, e.at.v)
	switch {
	case h.incomplete:
	case !e.version.set:
		h.lose(e, fmt.Sprintf("a %s without a version", e.typ), "each event but an annotation has a version")
	case e.version.v < 1:
		h.lose(e, fmt.Sprintf("a %s of version %d", e.typ, e.version.v), "versions count from 1")
	case e.version.v <= h.count || h.isPending(e.version.v):
		h.lose(e, fmt.Sprintf("a second event of version %d: %s", e.version.v, e.typ), "one event for each version")
	case e.version.v == h.count+1:
		h.step(f, e)
		h.drain(f)
	case len(h.pending) == maxPending:
		h.lose(e, h.gap(), "an event for each version")
	default:
		late := *e
		late.data = append([]byte(nil), e.data...)
		h.pending = append(h.pending, late)
	}
}

// annotate checks that an annotation has no version. It adds nothing to the history.
func (h *history) annotate(e *event) {
	if e.version.set {
		h.lose(e, fmt.Sprintf("an annotation of version %d", e.version.v), "an annotation has no version")
	}
}

// foreign handles an event whose type cannot belong to this history. The fold ends there. If the event has the next
// version, it counts, because then its type was probably changed.
func (h *history) foreign(e *event, p problem) {
	if !h.broken {
		h.add(p, e)
	}
	h.broken = true
	if e.version == some(h.count+1) {
		h.take(nil, e)
	}
}

func (h *history) isPending(version int64) bool {
	for i := range h.pending {
		if h.pending[i].version.v == version {
			return true
		}
	}
	return false
}

func (h *history) drain(f fold) {
	for i := 0; i < len(h.pending); i++ {
		if h.pending[i].version.v == h.count+1 {
			next := h.pending[i]
			h.pending = append(h.pending[:i], h.pending[i+1:]...)
			h.step(f, &next)
			i = -1
		}
	}
}

func (h *history) step(f fold, e *event) {
	h.count++
	if e.seq < h.last && !h.disordered {
		h.disordered = true
		h.add(problem{
			I1, fmt.Sprintf("version %d has the sequence_num %d, and the version before it %d", h.count, e.seq, h.last),
			"sequence_num grows with the version",
		}, e)
	}
	h.last = e.seq
	if !h.broken {
		if p := f.apply(e); p != nil {
			h.broken = true
			h.add(*p, e)
		}
	}
	copy(h.recent[:], h.recent[1:])
	h.recent[shownEvents-1] = *e
	h.recent[shownEvents-1].data = nil
}

func (h *history) lose(e *event, found, expected string) {
	h.incomplete = true
	h.pending = nil
	h.add(problem{I1, found, expected}, e)
}

// gap describes the missing version. There must be a pending later one.
func (h *history) gap() string {
	return fmt.Sprintf("no event of version %d, but of version %d", h.count+1, h.pending[0].version.v)
}

func (h *history) add(p problem, e *event) {
	here := e.ref()
	here.Here = true
	h.found = append(h.found, breachAt{problem: p, events: append(h.refs(), here)})
}

// follow adds an event to the breaches shortly before it.
func (h *history) follow(e *event) {
	for i := range h.found {
		if b := &h.found[i]; b.after < shownAfter {
			b.after++
			b.events = append(b.events, e.ref())
		}
	}
}

// refs returns the last events, oldest first.
func (h *history) refs() []EventRef {
	refs := make([]EventRef, 0, shownEvents+1)
	for i := range h.recent {
		if h.recent[i].typ != "" {
			refs = append(refs, h.recent[i].ref())
		}
	}
	return refs
}

// finish ends the history of a row with the given version, and reports whether the fold can be compared with the row.
func (h *history) finish(version number) (comparable bool) {
	switch {
	case h.incomplete:
	case len(h.pending) > 0:
		h.end(problem{I1, h.gap(), "an event for each version"})
	case !version.bad && version != some(h.count):
		h.end(problem{
			I1, fmt.Sprintf("the row has version %s, its events end at version %d", version, h.count),
			"the row's version is the number of its events",
		})
	}
	return !h.incomplete && !h.broken
}

func (h *history) end(p problem) {
	h.incomplete = true
	h.found = append(h.found, breachAt{problem: p, events: h.refs(), after: shownAfter})
}
