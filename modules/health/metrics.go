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

// metrics counts the work of pools, by tenant, in its own registry.
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
	wait      *prometheus.HistogramVec
	runs      *prometheus.CounterVec
	run       *prometheus.HistogramVec
	pipelines labels
}

// observer counts the work of one tenant's pool. It implements workers.Observer.
type observer struct {
	claimed, lost, recovered, stuck prometheus.Counter
	unstarted                       prometheus.Counter
	claim, record                   prometheus.Observer
	finished                        *prometheus.CounterVec
	task, wait, run                 prometheus.ObserverVec
	runs                            *prometheus.CounterVec
	label                           func(pipeline string) string
}

const tenantLabel = "tenant"

// outcomes are the label values of an attempt's result. A failed attempt may be followed by another.
var outcomes = map[pipelines.OutcomeKind]string{
	pipelines.OutcomeSucceeded: "completed", pipelines.OutcomeFailed: "failed", pipelines.OutcomeDeferred: "deferred",
	pipelines.OutcomeReleased: "released",
	pipelines.OutcomeSkipped:  "skipped",
}

// Buckets in seconds. Transactions take milliseconds; tasks may take any time.
var (
	transactionBuckets = prometheus.ExponentialBuckets(0.0005, 2, 15) // half a millisecond to 8 s
	taskBuckets        = prometheus.ExponentialBuckets(0.001, 4, 12)  // a millisecond to 70 min
	runBuckets         = prometheus.ExponentialBuckets(0.01, 4, 12)   // 10 milliseconds to 12 h
)

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		claimed:  counter("sluice_tasks_claimed_total", "Tasks that this process has claimed."),
		finished: counter("sluice_tasks_finished_total",
			"Attempts whose outcome has been recorded, by outcome; a failed one may be tried again.", "outcome"),
		lost: counter("sluice_claims_lost_total",
			"Attempts whose claim was lost, so that their outcome changed nothing."),
		recovered: counter("sluice_recovered_tasks_total",
			"Tasks that this process has taken back from workers whose leases had expired."),
		stuck: counter("sluice_failed_recoveries_total",
			"Tries of this process to take an execution's tasks back from lost workers that failed."),
		unstarted: counter("sluice_tasks_not_started_total",
			"Tasks that were given back because this process could not start them."),
		claim: histogram("sluice_claim_seconds", "Transactions that claim, those that got nothing included.",
			transactionBuckets),
		record: histogram("sluice_record_seconds", "From the first try to record a group of outcomes to its commit.",
			transactionBuckets),
		task: histogram("sluice_task_seconds", "How long handlers ran, by handler.", taskBuckets, "handler"),
	}
	m.wait = histogram("sluice_queue_wait_seconds",
		"From when a task was due to its claim, by queue and handler; 0 for what is claimed as it becomes ready.",
		taskBuckets, "queue", "handler")
	m.runs = counter("sluice_runs_total",
		"Runs that have ended, by pipeline and status: those that this process has ended, and those of processes "+
			"without metrics that it has learnt of.", "pipeline", "status")
	m.run = histogram("sluice_run_seconds", "From the creation of runs to their end, by pipeline.", runBuckets,
		"pipeline")
	m.registry.MustRegister(m.wait, m.runs, m.run, m.claimed, m.finished, m.lost, m.recovered, m.stuck, m.unstarted,
		m.claim, m.record, m.task, newGauges(s),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help},
		append([]string{tenantLabel}, labels...))
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets},
		append([]string{tenantLabel}, labels...))
}

// of returns the observer of a tenant. Counters without further labels, and those of outcomes, start at 0, because a
// rate needs a first sample.
func (m *metrics) of(tenant string) *observer {
	labels := prometheus.Labels{tenantLabel: tenant}
	o := &observer{
		claimed: m.claimed.With(labels), lost: m.lost.With(labels), recovered: m.recovered.With(labels),
		stuck:     m.stuck.With(labels),
		unstarted: m.unstarted.With(labels),
		claim:     m.claim.With(labels), record: m.record.With(labels),
		finished: m.finished.MustCurryWith(labels), task: m.task.MustCurryWith(labels),
		wait: m.wait.MustCurryWith(labels), run: m.run.MustCurryWith(labels), runs: m.runs.MustCurryWith(labels),
		label: func(pipeline string) string { return m.pipelines.of(tenant, pipeline) },
	}
	for _, outcome := range outcomes {
		o.finished.WithLabelValues(outcome)
	}
	return o
}

// forget removes the series of a tenant.
func (m *metrics) forget(tenant string) {
	labels := prometheus.Labels{tenantLabel: tenant}
	for _, v := range []*prometheus.MetricVec{
		m.claimed.MetricVec, m.finished.MetricVec, m.lost.MetricVec, m.recovered.MetricVec, m.stuck.MetricVec,
		m.unstarted.MetricVec, m.claim.MetricVec, m.record.MetricVec, m.task.MetricVec,
		m.wait.MetricVec, m.runs.MetricVec, m.run.MetricVec,
	} {
		v.DeletePartialMatch(labels)
	}
	m.pipelines.forget(tenant)
}

// handler serves scrapes. Metrics that cannot be collected are logged and left out.
func (m *metrics) handler(log *zap.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: zap.NewStdLog(log), ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4,
	})
}

// Claimed counts n claimed tasks and observes the duration of the claim.
func (o *observer) Claimed(n int, took time.Duration) {
	o.claimed.Add(float64(n))
	o.claim.Observe(took.Seconds())
}

// Ran observes how long a handler ran.
func (o *observer) Ran(handler string, took time.Duration) {
	o.task.WithLabelValues(handler).Observe(took.Seconds())
}

// Waited observes how long a task was due before it was claimed.
func (o *observer) Waited(queue, handler string, d time.Duration) {
	o.wait.WithLabelValues(queue, handler).Observe(max(d, 0).Seconds())
}

// RunEnded counts an ended run and observes its duration.
func (o *observer) RunEnded(x *pipelines.Execution) {
	name := o.label(x.PipelineName)
	o.runs.WithLabelValues(name, string(x.Status)).Inc()
	o.run.WithLabelValues(name).Observe(max(x.CompletedAt.Sub(x.CreatedAt.Time), 0).Seconds())
}

// Recorded observes how long recording a group of results took.
func (o *observer) Recorded(_ int, took time.Duration) { o.record.Observe(took.Seconds()) }

// Finished counts a recorded result.
func (o *observer) Finished(kind pipelines.OutcomeKind) {
	o.finished.WithLabelValues(outcomes[kind]).Inc()
}

// Lost counts a result that was refused because its claim was lost.
func (o *observer) Lost() { o.lost.Inc() }

// Recovered counts n recovered tasks.
func (o *observer) Recovered(n int) { o.recovered.Add(float64(n)) }

// RecoveryFailed counts a failed recovery.
func (o *observer) RecoveryFailed() { o.stuck.Inc() }

// NotStarted counts a task that could not be started.
func (o *observer) NotStarted() { o.unstarted.Inc() }
