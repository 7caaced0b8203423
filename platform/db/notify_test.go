package db_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestCloseSendsNotifications checks that a process that commits and ends at once has notified the others of each
// commit, although notifications that follow each other too soon are held back.
func TestCloseSendsNotifications(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	heard := make(chan string, 100)
	listening, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Listen(listening, func(topic string) { heard <- topic }); err != nil {
			t.Error(err)
		}
	})
	if topic := <-heard; topic != "" {
		t.Errorf("first hears %q", topic)
	}
	other, err := db.Open(t.Context(), d.URL())
	if err != nil {
		t.Fatal(err)
	}
	topics := []string{"first", "second", "third"}
	for _, topic := range topics {
		if err := other.Transaction(t.Context(), func(tx db.Tx) error { tx.Notify(topic); return nil }); err != nil {
			t.Error(err)
		}
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	wait, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for missing := slices.Clone(topics); len(missing) > 0; {
		select {
		case topic := <-heard:
			missing = slices.DeleteFunc(missing, func(m string) bool { return m == topic })
		case <-wait.Done():
			t.Fatalf("not heard: %v", missing)
		}
	}
	cancel()
	wg.Wait()
}
