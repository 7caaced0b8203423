package health

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges are what is asked for when somebody wants to know.
type gauges struct {
	server *Server
	slots  *prometheus.Desc
	lease  *prometheus.Desc
	queued *prometheus.Desc
	held   *prometheus.Desc
	oldest *prometheus.Desc
}

func newGauges(s *Server) *gauges {
	return &gauges{
		server: s,
		slots:  prometheus.NewDesc("sluice_slots", "Slots of this process; used by tasks whose outcome is not yet recorded.", []string{"state"}, nil),
		lease:  prometheus.NewDesc("sluice_lease_seconds_left", "How long others leave this process its tasks; negative: expired.", nil, nil),
		queued: prometheus.NewDesc("sluice_outbox_pending", "Tasks of the whole database that wait for a worker, due or not.", nil, nil),
		held:   prometheus.NewDesc("sluice_events_held_back_seconds", "How long the oldest open transaction with events has been open: followers of events wait for it. Those of other users are seen by members of pg_monitor.", nil, nil),
		oldest: prometheus.NewDesc("sluice_oldest_transaction_age", "How many transactions have begun on the database's server since the oldest that is open, or that a replication slot keeps.", nil, nil),
	}
}

// Describe names the gauges.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	to <- g.slots
	to <- g.lease
	to <- g.queued
	to <- g.held
	to <- g.oldest
}

// Collect reads them. A database that does not answer costs a scrape what it would have told.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	state := g.server.state()
	if state.Worker != "" {
		to <- gauge(g.slots, float64(state.Used), "used")
		to <- gauge(g.slots, float64(state.Slots-state.Used), "free")
		to <- gauge(g.lease, state.LeaseLeft.Seconds())
	}
	limited, cancel := context.WithTimeout(g.server.base, patience)
	defer cancel()
	n, err := g.server.deps.Outbox.CountPending(limited)
	if err != nil {
		to <- prometheus.NewInvalidMetric(g.queued, fmt.Errorf("count the outbox for a scrape: %w", err))
	} else {
		to <- gauge(g.queued, float64(n))
	}
	h, err := g.server.deps.DB.Horizon(limited, "execution_events")
	if err != nil {
		to <- prometheus.NewInvalidMetric(g.held, fmt.Errorf("look for open transactions for a scrape: %w", err))
		return
	}
	to <- gauge(g.held, h.Lag(g.server.deps.DB.Now()).Seconds())
	to <- gauge(g.oldest, float64(h.Age()))
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}
