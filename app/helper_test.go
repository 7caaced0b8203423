package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/app"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// program is sluice with one database.
type program struct {
	url        string
	extensions []fx.Option
	stdin      string
	tenant     string // that it works in; empty: the default one
}

// of returns the program in a tenant.
func (p *program) of(tenant string) *program {
	return &program{url: p.url, extensions: p.extensions, tenant: tenant}
}

// line returns the command line of arguments.
func (p *program) line(args []string) []string {
	line := []string{"--database-url", p.url}
	if p.tenant != "" {
		line = append(line, "--tenant", p.tenant)
	}
	return append(line, args...)
}

// result is how a command line ended.
type result struct {
	code           int
	stdout, stderr string
}

// each runs a test of the program on both databases, and then verifies with the program what the test left.
func each(t *testing.T, run func(t *testing.T, p *program)) {
	t.Helper()
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   dbtest.SQLiteURL,
		"postgres": dbtest.PostgresURL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &program{url: url(t)}
			t.Cleanup(func() {
				if r := p.inContext(context.Background(), "verify"); r.code != 0 {
					t.Errorf("verify: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
				}
			})
			run(t, p)
		})
	}
}

// run runs a command line to its end.
func (p *program) run(t *testing.T, args ...string) result {
	t.Helper()
	return p.inContext(t.Context(), args...)
}

// inContext returns what the program wrote, with the shared flags removed from printed commands; see raw.
func (p *program) inContext(ctx context.Context, args ...string) result {
	r := p.raw(ctx, args...)
	return result{r.code, p.plain(r.stdout), p.plain(r.stderr)}
}

func (p *program) raw(ctx context.Context, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := app.Main(ctx, p.line(args), strings.NewReader(p.stdin), &stdout, &stderr, p.extensions...)
	return result{code, stdout.String(), stderr.String()}
}

// ok runs a command line that must end with exit code 0, and returns its standard output.
func (p *program) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := p.run(t, args...)
	if r.code != 0 {
		t.Fatalf("%q: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// fails runs a command line that must end with the exit code, and checks for words on standard error.
func (p *program) fails(t *testing.T, code int, words []string, args ...string) {
	t.Helper()
	r := p.run(t, args...)
	if r.code != code {
		t.Errorf("%q: exit code %d, want %d\n%s%s", args, r.code, code, r.stdout, r.stderr)
	}
	contains(t, r.stderr, words...)
	for line := range strings.Lines(r.stderr) {
		if strings.Contains(line, "goroutine ") || strings.Contains(line, ".go:") {
			t.Errorf("%q: a stack trace: %s", args, line)
		}
	}
}

// plain returns a text without the shared flags that printed commands repeat.
func (p *program) plain(text string) string {
	line := "sluice --database-url " + p.url
	if strings.ContainsAny(p.url, "?&") {
		line = "sluice --database-url '" + p.url + "'"
	}
	if p.tenant != "" {
		text = strings.ReplaceAll(text, line+" --tenant "+p.tenant, "sluice")
	}
	return strings.ReplaceAll(text, line, "sluice")
}

func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("not found: %q in\n%s", w, text)
		}
	}
}

// decode reads the one JSON document that a command wrote.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if dec.More() {
		t.Fatalf("more than one document:\n%s", text)
	}
	return v
}

// file writes a file that is removed at the end of the test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// running is a command line that is running.
type running struct {
	interrupt context.CancelFunc
	stderr    *watched
	done      chan result
}

// begin starts a command line concurrently with the test. It is interrupted at the end of the test at the latest.
func (p *program) begin(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{interrupt: cancel, stderr: &watched{}, done: make(chan result, 1)}
	var stdout bytes.Buffer
	go func() {
		code := app.Main(ctx, p.line(args), strings.NewReader(p.stdin), &stdout, r.stderr, p.extensions...)
		r.done <- result{code, p.plain(stdout.String()), p.plain(r.stderr.String())}
	}()
	t.Cleanup(func() { r.stop(t) })
	return r
}

// stop interrupts the command and waits for its end.
func (r *running) stop(t *testing.T) result {
	t.Helper()
	r.interrupt()
	return r.wait(t)
}

func (r *running) wait(t *testing.T) result {
	t.Helper()
	select {
	case res := <-r.done:
		r.done <- res
		return res
	case <-time.After(time.Minute):
		t.Fatalf("the program does not end:\n%s", r.stderr.String())
		return result{}
	}
}

// watched is a buffer that one goroutine writes and another one reads.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// document is what run and show print.
type document struct {
	Execution execution `json:"execution"`
	Tasks     []task    `json:"tasks"`
	Attempts  []struct {
		TaskName  string  `json:"id"`
		Attempt   int     `json:"attempt"`
		Status    string  `json:"status"`
		WorkerID  *string `json:"worker_id"`
		StartedAt *string `json:"started_at"`
		EndedAt   *string `json:"ended_at"`
		Error     *string `json:"error"`
		ErrorKind *string `json:"error_kind"`
		Stdout    string  `json:"stdout"`
		Stderr    string  `json:"stderr"`
	} `json:"attempts"`
}

// listing is what every command that lists something prints.
type listing[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

type execution struct {
	ID           string          `json:"id"`
	PipelineName string          `json:"pipeline"`
	Status       string          `json:"status"`
	Input        json.RawMessage `json:"input"`
	Error        *string         `json:"error"`
	OpenTasks    int             `json:"open_tasks"`
}

type task struct {
	ID       string          `json:"task_execution_id"`
	TaskName string          `json:"id"`
	Status   string          `json:"status"`
	Attempt  int             `json:"attempt"`
	WorkerID *string         `json:"worker_id"`
	Output   json.RawMessage `json:"output"`
	Error    *string         `json:"error"`

	SkipReason *string `json:"skip_reason"`
}

type event struct {
	SequenceNum         int64           `json:"sequence_num"`
	ID                  string          `json:"id"`
	PipelineExecutionID string          `json:"pipeline_execution_id"`
	TaskExecutionID     *string         `json:"task_execution_id"`
	EventType           string          `json:"event_type"`
	Version             *int64          `json:"version"`
	EventData           json.RawMessage `json:"event_data"`
	WorkerID            *string         `json:"worker_id"`
	Actor               *string         `json:"actor"`
	CreatedAt           string          `json:"created_at"`
}

// show reads an execution with the program.
func (p *program) show(t *testing.T, id string) document {
	t.Helper()
	return decode[document](t, p.ok(t, "show", id, "-o", "json"))
}

func (p *program) events(t *testing.T, args ...string) []event {
	t.Helper()
	return decode[listing[event]](t, p.ok(t, append([]string{"events", "-o", "json"}, args...)...)).Items
}

// statuses returns the status of each task by its name.
func (d document) statuses() map[string]string {
	out := map[string]string{}
	for _, t := range d.Tasks {
		out[t.TaskName] = t.Status
	}
	return out
}

// start enqueues one run and returns its id.
func (p *program) start(t *testing.T, args ...string) string {
	t.Helper()
	return strings.TrimSpace(p.ok(t, append([]string{"start"}, args...)...))
}
