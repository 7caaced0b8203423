package db

import (
	"context"
	"fmt"
	"time"
)

type waitReportKey struct{}

// waitReportAfter is how long a migration or a drop waits for another one before it reports the wait, and
// waitReportEvery is how often it repeats the report.
const (
	waitReportAfter = time.Second
	waitReportEvery = 30 * time.Second
)

// WithWaitReport returns a context under which Migrate, CreateTenant and DropTenant report that they wait for another
// process. They call report from another goroutine, after one second and then every thirty seconds.
func WithWaitReport(ctx context.Context, report func(message string)) context.Context {
	return context.WithValue(ctx, waitReportKey{}, report)
}

// reportWait starts reporting a wait. holder describes what is waited for. stop ends the reports, and returns when
// none is running any more.
func reportWait(ctx context.Context, holder func() string) (stop func()) {
	report, ok := ctx.Value(waitReportKey{}).(func(string))
	if !ok {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		timer := time.NewTimer(waitReportAfter)
		defer timer.Stop()
		for waited := waitReportAfter; ; waited += waitReportEvery {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
				if by := holder(); ctx.Err() == nil {
					report(fmt.Sprintf("waiting for %s for %s: another migration or drop holds the lock", by, waited))
				}
				timer.Reset(waitReportEvery)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
