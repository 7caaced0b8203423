// Package floor is the least that the durable work of a chain costs: hand-written statements over sets, no engine. It
// writes what the engine writes, on the engine's own schema: every row, every event, each in the transaction of its
// transition. It has none of the rest: no leases, no fences beyond the version, no retries, no failure, one known
// shape.
//
// As in the engine, a task that becomes ready in a completing transaction is claimed in that transaction, and so needs
// no outbox row; the first task of a chain goes through the outbox.
package floor

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// The states of a task's row: created 1, ready 2, claimed 3, started 4, completed 5.
const (
	versionCreated = 1
	versionReady   = 2
	versionStarted = 4
)

const (
	workerName = "bench-worker"
	definition = "5f2b6c0d9c2f4f1f"
)

// What the events hold; times and ids of a real history are as long.
const (
	dataPipelineStarted = `{"pipeline_name": "bench-chain", "definition_version": "5f2b6c0d9c2f4f1f", "tasks": 10}`
	dataPipelineEnded   = `{"counts": {"Completed": 10}, "duration_ms": 248}`
	dataCreated         = `{"task_name": "t1", "dependencies": ["t0"], "max_attempts": 1}`
	dataReady           = `{"available_at": "2026-01-02T03:04:05.678901Z"}`
	dataClaimed         = `{"attempt": 1, "lease_expires_at": "2026-01-02T03:04:05.678901Z"}`
	dataStarted         = `{"attempt": 1}`
	dataCompleted       = `{"attempt": 1, "duration_ms": 12}`
)

type id = [16]byte

// ids makes version 7 UUIDs, each greater than the one before.
type ids struct {
	mu   sync.Mutex
	last uint64 // milliseconds and 12 bits below them
	tail id
}

func newIDs() (*ids, error) {
	g := &ids{}
	if _, err := rand.Read(g.tail[:]); err != nil {
		return nil, fmt.Errorf("seed the ids: %w", err)
	}
	return g, nil
}

// take makes n ids.
func (g *ids) take(n int) []id {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := uint64(time.Now().UnixMilli()) << 12
	out := make([]id, n)
	for i := range out {
		g.last = max(g.last+1, now)
		binary.BigEndian.PutUint64(g.tail[8:],
			binary.BigEndian.Uint64(g.tail[8:])*6364136223846793005+1442695040888963407)
		x := &out[i]
		binary.BigEndian.PutUint64(x[:8], g.last>>12<<16|7<<12|g.last&0xfff)
		copy(x[8:], g.tail[8:])
		x[8] = x[8]&0x3f | 0x80
	}
	return out
}

// set is chains that are worked off together, step by step.
type set struct {
	pipelines []id
	tasks     [][]id // by place in the chain, then by chain
}

func newSet(g *ids, chains, length int) set {
	s := set{pipelines: g.take(chains), tasks: make([][]id, length)}
	for i := range s.tasks {
		s.tasks[i] = g.take(chains)
	}
	return s
}

// registry knows the chain of each first task: what a definition and the row's pipeline say in the engine.
type registry struct {
	mu     sync.Mutex
	chains map[id]chain
}

type chain struct {
	pipeline id
	tasks    []id
}

func (r *registry) add(s set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range s.pipelines {
		c := chain{pipeline: p}
		for _, at := range s.tasks {
			c.tasks = append(c.tasks, at[i])
		}
		r.chains[c.tasks[0]] = c
	}
}

// look gives the chains that begin with the tasks, as a set.
func (r *registry) look(first []id) (s set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range first {
		c := r.chains[f]
		s.pipelines = append(s.pipelines, c.pipeline)
		if s.tasks == nil {
			s.tasks = make([][]id, len(c.tasks))
		}
		for i, t := range c.tasks {
			s.tasks[i] = append(s.tasks[i], t)
		}
	}
	return s
}

// expected are the counts that must be there at the end: runs, tasks, events.
func expected(chains, length int) string {
	const perTask, perRun = 5, 2
	return fmt.Sprint([]int{chains, chains * length, chains*length*perTask + chains*perRun, 0})
}

// counting is one query for all of them. The last is what is left in the outbox.
const counting = `SELECT (SELECT count(*) FROM pipeline_executions WHERE status = 'Completed' AND version = 2
  AND open_tasks = 0),
  (SELECT count(*) FROM task_executions WHERE status = 'Completed' AND version = 5),
  (SELECT count(*) FROM execution_events), (SELECT count(*) FROM task_outbox)`
