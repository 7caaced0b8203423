package tasks

import (
	"regexp"
	"slices"

	"github.com/sluiceworks/sluice/modules/outbox"
)

// DefaultQueue is the queue of tasks, and of workers, that name none.
const DefaultQueue = outbox.DefaultQueue

var queuePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`)

// QueueNameRule says what a queue may be called.
const QueueNameRule = "use small letters, digits, _, . and -, at most 63"

// ValidQueue reports whether a queue may be called so.
func ValidQueue(name string) bool { return queuePattern.MatchString(name) }

// Priority orders the due tasks of a queue: no task is claimed while one of a higher priority is due.
type Priority string

// The priorities.
const (
	High   Priority = "high"
	Normal Priority = "normal"
	Low    Priority = "low"
)

// LowestPriority is the level of the lowest priority.
const LowestPriority = 2

// Priorities lists every priority, the highest first.
func Priorities() []Priority { return []Priority{High, Normal, Low} }

// Level is the priority as the database keeps it: 0 for the highest. An unknown one is Normal's.
func (p Priority) Level() int {
	if i := slices.Index(Priorities(), p); i >= 0 {
		return i
	}
	return Normal.Level()
}

// PriorityOf is the priority of a level; Normal for a level that there is not.
func PriorityOf(level int) Priority {
	if all := Priorities(); level >= 0 && level < len(all) {
		return all[level]
	}
	return Normal
}
