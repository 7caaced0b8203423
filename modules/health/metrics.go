package health

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"sluice/modules/pipelines"
)

// metrics counts what a pool does (workers.Observer), in a registry of its own.
type metrics struct {
	registry  *prometheus.Registry
	claimed   prometheus.Counter
	finished  *prometheus.CounterVec
	lost      prometheus.Counter
	recovered prometheus.Counter
	claim     prometheus.Histogram
	record    prometheus.Histogram
	task      *prometheus.HistogramVec
}

// outcomes are the labels of attempts by how they came out. One that failed may be followed by another.
var outcomes = map[pipelines.Kind]string{
	pipelines.Succeeded: "completed", pipelines.Erred: "failed", pipelines.Deferred: "deferred", pipelines.Released: "released",
}

// Buckets in seconds: transactions take milliseconds, tasks anything.
var (
	transactionBuckets = prometheus.ExponentialBuckets(0.0005, 2, 15) // half a millisecond to 8 s
	taskBuckets        = prometheus.ExponentialBuckets(0.001, 4, 12)  // a millisecond to 70 min
)

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		claimed:  counter("sluice_tasks_claimed_total", "Tasks that this process has claimed."),
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_tasks_finished_total", Help: "Attempts whose outcome has been recorded, by outcome; a failed one may be tried again.",
		}, []string{"outcome"}),
		lost:      counter("sluice_claims_lost_total", "Attempts whose claim was lost, so that their outcome changed nothing."),
		recovered: counter("sluice_recovered_tasks_total", "Tasks that this process has taken back from workers whose leases had expired."),
		claim:     histogram("sluice_claim_seconds", "Transactions that claim, those that got nothing included."),
		record:    histogram("sluice_record_seconds", "From the first try to record a group of outcomes to its commit."),
		task: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_task_seconds", Help: "How long handlers ran, by handler.", Buckets: taskBuckets,
		}, []string{"handler"}),
	}
	for _, outcome := range outcomes {
		m.finished.WithLabelValues(outcome) // shown as 0 from the start: a rate needs a beginning
	}
	m.registry.MustRegister(m.claimed, m.finished, m.lost, m.recovered, m.claim, m.record, m.task, newGauges(s),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func histogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: transactionBuckets})
}

// handler answers a scrape. What can't be gathered is left out and logged; the rest is answered.
func (m *metrics) handler(log *zap.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: zap.NewStdLog(log), ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4,
	})
}

// Claimed counts a claim.
func (m *metrics) Claimed(n int, took time.Duration) {
	m.claimed.Add(float64(n))
	m.claim.Observe(took.Seconds())
}

// Ran notes the time of a handler.
func (m *metrics) Ran(handler string, took time.Duration) {
	m.task.WithLabelValues(handler).Observe(took.Seconds())
}

// Recorded notes the time of a group.
func (m *metrics) Recorded(_ int, took time.Duration) { m.record.Observe(took.Seconds()) }

// Finished counts an outcome.
func (m *metrics) Finished(kind pipelines.Kind) { m.finished.WithLabelValues(outcomes[kind]).Inc() }

// Lost counts a refused outcome.
func (m *metrics) Lost() { m.lost.Inc() }

// Recovered counts tasks taken back.
func (m *metrics) Recovered(n int) { m.recovered.Add(float64(n)) }
