package tasks

import (
	"regexp"
	"slices"
)

// DefaultQueue is the queue of tasks and workers that do not name one.
const DefaultQueue = "default"

var queuePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`)

// QueueNameRule describes valid queue names, for error messages.
const QueueNameRule = "use small letters, digits, _, . and -, at most 63"

// ValidQueue reports whether name is a valid queue name: a lower-case letter or digit, followed by at most 62
// lower-case letters, digits, '_', '.' and '-'.
func ValidQueue(name string) bool { return queuePattern.MatchString(name) }

// Priority orders the due tasks of a queue. No task is claimed while one of a higher priority is due.
type Priority string

// The priorities.
const (
	High   Priority = "high"
	Normal Priority = "normal"
	Low    Priority = "low"
)

// LowestPriority is the level of the lowest priority.
const LowestPriority = 2

// Priorities returns all priorities, the highest first.
func Priorities() []Priority { return []Priority{High, Normal, Low} }

// Level returns the number that the database stores for the priority; 0 is the highest. An unknown priority has the
// level of Normal.
func (p Priority) Level() int {
	if i := slices.Index(Priorities(), p); i >= 0 {
		return i
	}
	return Normal.Level()
}

// PriorityOf returns the priority of a level, or Normal for an unknown level.
func PriorityOf(level int) Priority {
	if all := Priorities(); level >= 0 && level < len(all) {
		return all[level]
	}
	return Normal
}
