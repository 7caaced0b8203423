package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/bench"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
)

// attending is a helper beside the test, which plays the first process.
type attending struct {
	ask   io.WriteCloser
	lines *bufio.Scanner
	done  chan error
}

func attend(ctx context.Context, s *enginetest.Stack, h *bench.Handler) *attending {
	in, ask := io.Pipe()
	told, out := io.Pipe()
	a := &attending{ask: ask, lines: bufio.NewScanner(told), done: make(chan error, 1)}
	deps := workers.Deps{
		DB: s.DB, Engine: s.Engine, Tasks: s.Tasks, Outbox: s.Outbox, Leases: s.Leases,
		Handlers: s.Handlers, Log: zap.NewNop(),
	}
	go func() {
		err := bench.Attend(ctx, deps, 4, h, in, out)
		_, _ = in.Close(), out.Close()
		a.done <- err
	}()
	return a
}

// said is a line of a helper.
type said struct {
	Done     int
	Answered string
	Account  *bench.Account
}

// until reads what the helper says up to the answer to a request, and how many tasks it has told of so far.
func (a *attending) until(t *testing.T, answered string) (last said, done int) {
	t.Helper()
	for a.lines.Scan() {
		last = said{}
		if err := json.Unmarshal(a.lines.Bytes(), &last); err != nil {
			t.Fatal(err)
		}
		if done += last.Done; last.Answered == answered {
			return last, done
		}
	}
	t.Fatalf("no answer to %q: %v", answered, a.lines.Err())
	return last, done
}

func (a *attending) request(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(a.ask, text+"\n"); err != nil {
		t.Fatal(err)
	}
}

// TestAttend: a helper joins, works, gives its account, and ends with its input.
func TestAttend(t *testing.T) {
	t.Parallel()
	each(t, bench.Settings{Payload: 20}, func(t *testing.T, s *enginetest.Stack, h *bench.Handler) {
		a := attend(t.Context(), s, h)
		a.until(t, "join")
		a.request(t, "observe")
		a.until(t, "observe")
		id := s.Start(t, t.Context(), s.Define(t, "work", definition.Task{ID: "t0", Uses: "bench"},
			definition.Task{ID: "t1", Uses: "bench", Needs: []string{"t0"}}), "")
		s.Wait(t, t.Context(), id)
		a.request(t, "account")
		got, done := a.until(t, "account")
		if x := got.Account; x == nil || len(x.Samples) != 2 || x.LastCommit == 0 || x.Transactions < 4 ||
			x.PeakMemory == 0 || done > 2 {
			t.Errorf("%d tasks, %+v", done, got.Account)
		}
		list, err := s.Tasks.ListByPipeline(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			if full, err := s.Tasks.Get(t.Context(), x.ID); err != nil || len(full.Output) != 20 {
				t.Errorf("%s has the output %s: %v", x.TaskName, full.Output, err)
			}
		}
		if err := a.ask.Close(); err != nil {
			t.Fatal(err)
		}
		for a.lines.Scan() { // what it still has to say
		}
		if err := <-a.done; err != nil {
			t.Error(err)
		}
		if left, err := s.Leases.List(t.Context()); err != nil || len(left) != 0 {
			t.Errorf("left are %v, %v", left, err)
		}
	})
}

// TestAttendRefuses what it does not know: then the two are not of one version.
func TestAttendRefuses(t *testing.T) {
	t.Parallel()
	each(t, bench.Settings{}, func(t *testing.T, s *enginetest.Stack, h *bench.Handler) {
		a := attend(t.Context(), s, h)
		a.until(t, "join")
		a.request(t, "dance")
		if err := <-a.done; err == nil || !strings.Contains(err.Error(), `asks for "dance"`) {
			t.Errorf("ended with %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		a = attend(ctx, s, h)
		a.until(t, "join")
		cancel()
		if err := <-a.done; err == nil {
			t.Error("an interrupt is no end in order")
		}
	})
}

// each gives each database a handler of its own: it keeps what it has seen.
func each(t *testing.T, settings bench.Settings, run func(t *testing.T, s *enginetest.Stack, h *bench.Handler)) {
	t.Helper()
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		h := bench.NewHandler(settings)
		run(t, enginetest.New(t, d, h), h)
	})
}
