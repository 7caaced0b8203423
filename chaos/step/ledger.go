package step

import (
	"fmt"
	"io"
	"os"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// LedgerEnv is the environment variable with the path of a worker's ledger.
const LedgerEnv = "CHAOS_LEDGER"

// Ends of a call in the ledger. A call without an end died with its process.
const (
	EndOK    = "ok"
	EndErr   = "err"
	EndDefer = "defer"
	EndPanic = "panic"
)

// Ledger is a file with one line for each start and each end of a handler: S or E, the task execution, the attempt,
// the worker, the process, and for an end its kind. Each line is a single write, so a killed process leaves no
// partial line.
type Ledger struct {
	out io.Writer
}

// NewLedger returns a ledger for a writer whose writes are atomic.
func NewLedger(out io.Writer) *Ledger { return &Ledger{out: out} }

func openLedger() (*Ledger, error) {
	path := os.Getenv(LedgerEnv)
	if path == "" {
		return nil, fmt.Errorf("%s names no file: this program is for the fault tests alone", LedgerEnv)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	return NewLedger(f), nil
}

func (l *Ledger) start(c *tasks.Attempt) error {
	_, err := fmt.Fprintf(l.out, "S %s %d %s %d\n", c.TaskExecutionID, c.Number, c.Worker, os.Getpid())
	return err
}

func (l *Ledger) end(c *tasks.Attempt, how string) error {
	_, err := fmt.Fprintf(l.out, "E %s %d %s %d %s\n", c.TaskExecutionID, c.Number, c.Worker, os.Getpid(), how)
	return err
}
