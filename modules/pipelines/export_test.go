package pipelines

// MostFresh is the bound of Remembered.
const MostFresh = mostFresh

// Remembered is how many tasks the engine need not read to claim them.
func (e *Engine) Remembered() int {
	e.fresh.mu.Lock()
	defer e.fresh.mu.Unlock()
	return len(e.fresh.rows)
}
