package floor

import (
	"context"
	"fmt"

	"github.com/sluiceworks/sluice/bench/measure"
	"github.com/sluiceworks/sluice/migrations"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"golang.org/x/sync/errgroup"
)

// Sizes from which on a floor of sizes lies, on two processor cores.
const (
	chainsAtOnce = 400
	conns        = 2
)

// planSettings are the engine's: plans by index, made for the values at hand.
const planSettings = `SET plan_cache_mode = force_custom_plan; SET enable_hashjoin = off; SET enable_mergejoin = off;
SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off`

type postgres struct {
	ids     *ids
	known   registry
	tickets chan int // sets to be created, by their number of chains
	length  int
}

// Postgres measures the floor on Postgres.
func Postgres(ctx context.Context, t measure.Task) (o measure.Outcome, err error) {
	g, err := newIDs()
	if err != nil {
		return o, err
	}
	p := &postgres{ids: g, known: registry{chains: map[id]chain{}}, length: t.Length}
	workers, err := p.open(ctx, t.Database)
	if err != nil {
		return o, err
	}
	chains := t.Tasks / t.Length
	p.tickets = make(chan int, chains)
	for left := chains; left > 0; left -= chainsAtOnce {
		p.tickets <- min(left, chainsAtOnce)
	}
	close(p.tickets)
	m, err := measure.Start(t.ServerPID)
	if err != nil {
		return o, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, c := range workers {
		group.Go(func() error { return p.work(groupCtx, c) })
	}
	if err := group.Wait(); err != nil {
		return o, err
	}
	if o, err = m.Stop(chains * t.Length); err != nil {
		return o, err
	}
	o.Settings = fmt.Sprintf("%d connections, sets of %d", conns, chainsAtOnce)
	got := [4]int{}
	if err := workers[0].QueryRow(ctx, counting).Scan(&got[0], &got[1], &got[2], &got[3]); err != nil {
		return o, fmt.Errorf("count: %w", err)
	}
	if s := fmt.Sprint(got); s != expected(chains, t.Length) {
		return o, fmt.Errorf("the floor has %s runs, tasks, events and outbox rows, expected %s", s,
			expected(chains, t.Length))
	}
	for _, c := range workers {
		if err := c.Close(ctx); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (p *postgres) open(ctx context.Context, url string) (list []*pgx.Conn, err error) {
	for range conns {
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		list = append(list, c)
	}
	schema, err := migrations.Postgres.ReadFile("postgres/0001_core.sql")
	if err != nil {
		return nil, err
	}
	if _, err := list[0].PgConn().Exec(ctx, string(schema)).ReadAll(); err != nil {
		return nil, fmt.Errorf("make the schema: %w", err)
	}
	for _, c := range list {
		if _, err := c.PgConn().Exec(ctx, planSettings).ReadAll(); err != nil {
			return nil, fmt.Errorf("set the planner: %w", err)
		}
	}
	return list, nil
}

// work creates sets while there are any to be created, and works off what lies in the outbox, its own or the other's.
func (p *postgres) work(ctx context.Context, c *pgx.Conn) error {
	for {
		n, more := <-p.tickets
		if more {
			s := newSet(p.ids, n, p.length)
			p.known.add(s)
			if err := p.create(ctx, c, s); err != nil {
				return err
			}
		}
		first, err := p.claim(ctx, c)
		if err != nil {
			return err
		}
		if len(first) == 0 && !more {
			return nil
		}
		s := p.known.look(first)
		for place := range s.tasks {
			if err := p.step(ctx, c, s, place); err != nil {
				return err
			}
		}
	}
}

// write runs statements in one transaction and one round trip, and compares how many rows each changed.
type write struct {
	batch pgx.Batch
	rows  []int
}

func (w *write) add(rows int, sql string, args ...any) {
	w.batch.Queue(sql, args...)
	w.rows = append(w.rows, rows)
}

func (w *write) commit(ctx context.Context, c *pgx.Conn) error {
	w.add(0, "COMMIT")
	answers := c.SendBatch(ctx, &w.batch)
	for i, want := range w.rows {
		tag, err := answers.Exec()
		if err != nil {
			return fmt.Errorf("statement %d of the transaction: %w", i, err)
		}
		if n := tag.RowsAffected(); n != int64(want) {
			return fmt.Errorf("statement %d of the transaction changed %d rows, expected %d", i, n, want)
		}
	}
	return answers.Close()
}

// uuids passes ids as they are.
func uuids(list []id) any { return pgtype.FlatArray[id](list) }
