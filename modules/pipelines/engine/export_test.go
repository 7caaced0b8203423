package engine

import "github.com/sluiceworks/sluice/platform/db"

// MostFresh is the bound of Remembered.
const MostFresh = maxStarted

// Remembered is how many tasks the engine need not read to claim them.
func (e *Engine) Remembered() int {
	e.startCache.mu.Lock()
	defer e.startCache.mu.Unlock()
	return len(e.startCache.rows)
}

// LimitNeeds replaces tasks.MaxNeeds, in bytes.
func (e *Engine) LimitNeeds(bytes int) { e.maxNeedsBytes = bytes }

// ListStatement is the statement that reads a page of ids.
func ListStatement(f Filter) (string, db.Args) { return f.query(`p.id`) }
