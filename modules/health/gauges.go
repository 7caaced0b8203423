package health

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluiceworks/sluice/platform/db"
)

// maxNames is the number of pipelines per tenant whose last success a scrape reads.
const maxNames = 1000

// gauges collects the metrics that are read at each scrape.
type gauges struct {
	server  *Server
	slots   *prometheus.Desc
	running *prometheus.Desc
	limits  *prometheus.Desc
	lease   *prometheus.Desc
	waiting *prometheus.Desc
	queued  *prometheus.Desc
	lag     *prometheus.Desc
	oldest  *prometheus.Desc
	success *prometheus.Desc

	// The names that limits and lag had before version 0.1.0. They are served until 1.0.
	formerLimits *prometheus.Desc
	formerLag    *prometheus.Desc
}

func newGauges(s *Server) *gauges {
	tenant := []string{"tenant"}
	return &gauges{
		server: s,
		slots: prometheus.NewDesc("sluice_slots",
			"Slots of this process; used by tasks whose outcome is not yet recorded, of all tenants.",
			[]string{"state"}, nil),
		running: prometheus.NewDesc("sluice_slots_used", "Slots of this process that a tenant's tasks use.", tenant,
			nil),
		limits: prometheus.NewDesc("sluice_handler_slots",
			"How many tasks of a handler with a limit this process runs at once; used by tasks whose outcome is not "+
				"yet recorded, of all tenants.",
			[]string{"handler", "state"}, nil),
		formerLimits: prometheus.NewDesc("sluice_handler_places", "Deprecated: use sluice_handler_slots.",
			[]string{"handler", "state"}, nil),
		lease: prometheus.NewDesc("sluice_lease_seconds_left",
			"How long others leave this process a tenant's tasks; negative: expired.", tenant, nil),
		waiting: prometheus.NewDesc("sluice_outcomes_waiting",
			"Outcomes of a tenant's tasks that the database has not taken yet, and that this process tries to "+
				"record again.", tenant, nil),
		queued: prometheus.NewDesc("sluice_outbox_pending",
			"Tasks of a tenant in the whole database that wait for a worker, due or not.", tenant, nil),
		lag: prometheus.NewDesc("sluice_tail_lag_seconds",
			"How long the oldest open transaction with events has been open: followers of events wait for it. Those "+
				"of other users are seen by members of pg_monitor.",
			tenant, nil),
		formerLag: prometheus.NewDesc("sluice_events_held_back_seconds", "Deprecated: use sluice_tail_lag_seconds.",
			tenant, nil),
		oldest: prometheus.NewDesc("sluice_oldest_transaction_age",
			"How many transactions have begun on the database's server since the oldest that is open, or that a "+
				"replication slot keeps.", nil, nil),
		success: prometheus.NewDesc("sluice_pipeline_last_success_timestamp_seconds",
			"When a run of the pipeline last completed, whichever process ended it; missing: none has, or its runs "+
				"have been removed.", []string{"tenant", "pipeline"}, nil),
	}
}

// Describe sends the descriptions of the gauges.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	to <- g.slots
	to <- g.running
	to <- g.limits
	to <- g.formerLimits
	to <- g.lease
	to <- g.waiting
	to <- g.queued
	to <- g.lag
	to <- g.formerLag
	to <- g.oldest
	to <- g.success
}

// Collect reads the gauges. If the database does not respond, only the metrics that need it are missing from the
// scrape.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	list, slots, used := g.server.standings()
	if slots > 0 {
		to <- gauge(g.slots, float64(used), "used")
		to <- gauge(g.slots, float64(slots-used), "free")
	}
	if len(list) > 0 {
		for _, r := range list[0].Capacities { // the same for all pools
			for _, d := range []*prometheus.Desc{g.limits, g.formerLimits} {
				to <- gauge(d, float64(r.Used), r.Handler, "used")
				to <- gauge(d, float64(r.Limit-r.Used), r.Handler, "free")
			}
		}
	}
	limited, cancel := context.WithTimeout(g.server.base, probeTimeout)
	defer cancel()
	for _, p := range list {
		if p.Worker != "" {
			to <- gauge(g.running, float64(p.Used), p.tenant)
			to <- gauge(g.lease, p.LeaseLeft.Seconds(), p.tenant)
			to <- gauge(g.waiting, float64(p.Waiting), p.tenant)
		}
		n, err := g.server.deps.Outbox.CountPending(db.WithTenant(limited, p.tenant))
		if err != nil {
			to <- prometheus.NewInvalidMetric(g.queued,
				fmt.Errorf("count the outbox of tenant %s for a scrape: %w", p.tenant, err))
			continue
		}
		to <- gauge(g.queued, float64(n), p.tenant)
	}
	g.openTransactions(limited, to)
	g.successes(limited, to)
}

// successes collects the time of each pipeline's last success.
func (g *gauges) successes(ctx context.Context, to chan<- prometheus.Metric) {
	for _, tenant := range g.server.tenants(ctx) {
		found, err := g.server.deps.Pipelines.LastSuccesses(db.WithTenant(ctx, tenant), maxNames)
		if err != nil {
			to <- prometheus.NewInvalidMetric(g.success,
				fmt.Errorf("find the last successes of tenant %s for a scrape: %w", tenant, err))
			return
		}
		last := map[string]float64{}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			label := g.server.metrics.pipelines.of(tenant, name)
			last[label] = max(last[label], float64(found[name].UnixMicro())/1e6)
		}
		for label, at := range last {
			to <- gauge(g.success, at, tenant, label)
		}
	}
}

// openTransactions collects how long open transactions have held back each tenant's events, and the age of the oldest
// transaction on the whole server.
func (g *gauges) openTransactions(ctx context.Context, to chan<- prometheus.Metric) {
	var oldest int64
	for _, tenant := range g.server.tenants(ctx) {
		h, err := g.server.deps.DB.OpenTransactions(db.WithTenant(ctx, tenant), "execution_events")
		if err != nil {
			to <- prometheus.NewInvalidMetric(g.lag,
				fmt.Errorf("look for open transactions of tenant %s for a scrape: %w", tenant, err))
			return
		}
		lag := h.Lag(g.server.deps.DB.Now()).Seconds()
		to <- gauge(g.lag, lag, tenant)
		to <- gauge(g.formerLag, lag, tenant)
		oldest = max(oldest, h.Age())
	}
	to <- gauge(g.oldest, float64(oldest))
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}
