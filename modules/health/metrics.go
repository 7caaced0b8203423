package health

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines"
)

// metrics counts what pools do, by tenant, in a registry of its own.
type metrics struct {
	registry  *prometheus.Registry
	claimed   *prometheus.CounterVec
	finished  *prometheus.CounterVec
	lost      *prometheus.CounterVec
	recovered *prometheus.CounterVec
	stuck     *prometheus.CounterVec
	unstarted *prometheus.CounterVec
	claim     *prometheus.HistogramVec
	record    *prometheus.HistogramVec
	task      *prometheus.HistogramVec
}

// observer counts what one tenant's pool does (workers.Observer).
type observer struct {
	claimed, lost, recovered, stuck prometheus.Counter
	unstarted                       prometheus.Counter
	claim, record                   prometheus.Observer
	finished                        *prometheus.CounterVec
	task                            prometheus.ObserverVec
}

const tenantLabel = "tenant"

// outcomes are the labels of attempts by how they came out. One that failed may be followed by another.
var outcomes = map[pipelines.Kind]string{
	pipelines.Succeeded: "completed", pipelines.Erred: "failed", pipelines.Deferred: "deferred", pipelines.Released: "released",
	pipelines.SkippedItself: "skipped",
}

// Buckets in seconds: transactions take milliseconds, tasks anything.
var (
	transactionBuckets = prometheus.ExponentialBuckets(0.0005, 2, 15) // half a millisecond to 8 s
	taskBuckets        = prometheus.ExponentialBuckets(0.001, 4, 12)  // a millisecond to 70 min
)

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry:  prometheus.NewRegistry(),
		claimed:   counter("sluice_tasks_claimed_total", "Tasks that this process has claimed."),
		finished:  counter("sluice_tasks_finished_total", "Attempts whose outcome has been recorded, by outcome; a failed one may be tried again.", "outcome"),
		lost:      counter("sluice_claims_lost_total", "Attempts whose claim was lost, so that their outcome changed nothing."),
		recovered: counter("sluice_recovered_tasks_total", "Tasks that this process has taken back from workers whose leases had expired."),
		stuck:     counter("sluice_failed_recoveries_total", "Tries of this process to take an execution's tasks back from lost workers that failed."),
		unstarted: counter("sluice_tasks_not_started_total", "Tasks that were given back because this process could not start them."),
		claim:     histogram("sluice_claim_seconds", "Transactions that claim, those that got nothing included.", transactionBuckets),
		record:    histogram("sluice_record_seconds", "From the first try to record a group of outcomes to its commit.", transactionBuckets),
		task:      histogram("sluice_task_seconds", "How long handlers ran, by handler.", taskBuckets, "handler"),
	}
	m.registry.MustRegister(m.claimed, m.finished, m.lost, m.recovered, m.stuck, m.unstarted, m.claim, m.record, m.task, newGauges(s),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{tenantLabel}, labels...))
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, append([]string{tenantLabel}, labels...))
}

// of makes the observer of a tenant. What it counts is shown as 0 from the start: a rate needs a beginning.
func (m *metrics) of(tenant string) *observer {
	labels := prometheus.Labels{tenantLabel: tenant}
	o := &observer{
		claimed: m.claimed.With(labels), lost: m.lost.With(labels), recovered: m.recovered.With(labels), stuck: m.stuck.With(labels),
		unstarted: m.unstarted.With(labels),
		claim:     m.claim.With(labels), record: m.record.With(labels),
		finished: m.finished.MustCurryWith(labels), task: m.task.MustCurryWith(labels),
	}
	for _, outcome := range outcomes {
		o.finished.WithLabelValues(outcome)
	}
	return o
}

// forget removes what is told of a tenant.
func (m *metrics) forget(tenant string) {
	labels := prometheus.Labels{tenantLabel: tenant}
	for _, v := range []*prometheus.MetricVec{
		m.claimed.MetricVec, m.finished.MetricVec, m.lost.MetricVec, m.recovered.MetricVec, m.stuck.MetricVec, m.unstarted.MetricVec, m.claim.MetricVec, m.record.MetricVec, m.task.MetricVec,
	} {
		v.DeletePartialMatch(labels)
	}
}

// handler answers a scrape. What can't be gathered is left out and logged; the rest is answered.
func (m *metrics) handler(log *zap.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: zap.NewStdLog(log), ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4,
	})
}

// Claimed counts a claim.
func (o *observer) Claimed(n int, took time.Duration) {
	o.claimed.Add(float64(n))
	o.claim.Observe(took.Seconds())
}

// Ran notes the time of a handler.
func (o *observer) Ran(handler string, took time.Duration) {
	o.task.WithLabelValues(handler).Observe(took.Seconds())
}

// Recorded notes the time of a group.
func (o *observer) Recorded(_ int, took time.Duration) { o.record.Observe(took.Seconds()) }

// Finished counts an outcome.
func (o *observer) Finished(kind pipelines.Kind) { o.finished.WithLabelValues(outcomes[kind]).Inc() }

// Lost counts a refused outcome.
func (o *observer) Lost() { o.lost.Inc() }

// Recovered counts tasks taken back.
func (o *observer) Recovered(n int) { o.recovered.Add(float64(n)) }

// RecoveryFailed counts a recovery that failed.
func (o *observer) RecoveryFailed() { o.stuck.Inc() }

// NotStarted counts a task that could not be started.
func (o *observer) NotStarted() { o.unstarted.Inc() }
