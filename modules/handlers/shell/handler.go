// Package shell runs a task's `run` text by a shell, `sh -e` unless the task names another. It sees to it that a command gets its input, that what it prints and what it
// ends with is recorded, and that nothing it started outlives it. It does not evaluate expressions (the definition has put their
// values into the environment), does not store anything, and isolates nothing: a command may do what the worker may do.
package shell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// DefaultLimit is how many commands one process runs at once unless it is told otherwise: each is a program of its own.
const DefaultLimit = 64

// DefaultGrace is how long a command that is to stop may take to do so.
const DefaultGrace = 5 * time.Second

// Handler runs commands. Make it by New; set its fields before the first use, and Close it after the last.
type Handler struct {
	// Grace is the time between SIGTERM and SIGKILL for a command whose context has ended.
	Grace time.Duration
	// Kill, once closed, ends all commands without the grace.
	Kill <-chan struct{}
	// Environment selects the variables of this process that a command gets.
	Environment Environment
	// Orphans returns the ids of the processes that others have left to this one. With it, what a command leaves behind ends with
	// the command. nil: this process inherits none, and the command's process group alone ends with it.
	Orphans func() []int

	typed   tasks.Handler
	scratch scratch
}

// New makes the handler with DefaultGrace.
func New() *Handler {
	h := &Handler{Grace: DefaultGrace}
	h.typed = tasks.NewHandler(h.Name(), h.run)
	return h
}

// Close removes the directory that held the attempts' files. No command may be running.
func (h *Handler) Close() error { return h.scratch.close() }

// Name is "shell".
func (h *Handler) Name() string { return "shell" }

// Limit is DefaultLimit.
func (h *Handler) Limit() int { return DefaultLimit }

// Check wants a script that is not blank, and nothing else. Its error is a *tasks.FieldError.
func (h *Handler) Check(fields map[string]any) error {
	if err := h.typed.Check(fields); err != nil {
		return err
	}
	if script, ok := fields["script"].(string); ok && strings.TrimSpace(script) == "" {
		return &tasks.FieldError{Field: "script", Msg: "is empty", Hint: "write the command to run"}
	}
	return nil
}

// Run runs the script, in the working directory of this process unless the task names another, and returns what it wrote to the file
// $SLUICE_OUTPUT.
//
// The error is of KindExit if the command ended with a status other than 0 or by a signal, with the last lines it printed; of
// KindInvalidOutput if the output is no JSON or too large; permanent if the script can never be started; and wraps ctx.Err() if
// the context ended first.
func (h *Handler) Run(ctx context.Context, call *tasks.Call) (json.RawMessage, error) {
	return h.typed.Run(ctx, call)
}

func (h *Handler) run(ctx context.Context, in with) (json.RawMessage, error) {
	call, ok := tasks.CallFrom(ctx)
	if !ok {
		return nil, errors.New("shell: no call in the context")
	}
	files, err := newExchange(&h.scratch, call)
	if err != nil {
		return nil, err
	}
	defer files.remove(call.Stderr)
	env, err := h.environ(call, &in, files)
	if err != nil {
		return nil, err
	}
	in.WorkingDirectory = inRunDir(in.WorkingDirectory, call)
	cmd, err := in.command(files)
	if err != nil {
		return nil, err
	}
	cmd.Env = env
	if cmd.Dir != "" {
		cmd.Env = append(cmd.Env, "PWD="+cmd.Dir)
	}
	if err := h.execute(ctx, cmd, call, &in); err != nil {
		return nil, err
	}
	return files.readOutput()
}

// execute runs cmd to its end, or to the end of ctx.
func (h *Handler) execute(ctx context.Context, cmd *exec.Cmd, call *tasks.Call, in *with) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("command not started: %w", err)
	}
	stdout, stderr := &stream{log: call.Stdout}, &stream{log: call.Stderr}
	p, err := start(cmd, owner{marks: marks(call), list: h.Orphans}, stdout, stderr)
	if err != nil {
		return in.startError(err)
	}
	stopped, err := p.wait(ctx, h.Grace, h.Kill)
	last := lastLines(stderr, stdout)
	var exit *exec.ExitError
	switch {
	case stopped:
		return fmt.Errorf("command stopped: %w%s", ctx.Err(), last)
	case errors.As(err, &exit):
		return in.exitError(exit, last)
	case err != nil:
		return fmt.Errorf("wait for command: %w", err)
	}
	call.Exit = new(int)
	return nil
}

// exitError is what a command's end other than by exit code 0 means.
func (in *with) exitError(exit *exec.ExitError, last string) error {
	failed := &tasks.KindedError{Kind: tasks.KindExit, Err: fmt.Errorf("%s%s", describe(exit), last)}
	if !exit.Exited() { // a signal ended it
		return failed
	}
	code := exit.ExitCode()
	if in.SkipExitCodes.Contains(code) {
		return &tasks.SkipError{Exit: code}
	}
	failed.Exit, failed.Final = &code, in.PermanentExitCodes.Contains(code)
	return failed
}

// startError tells what no further attempt can mend from what passes, and what is the task's fault from what is this process's: a lack
// of memory, of process ids or of file descriptors, and a shell that is missing although the task does not name one.
func (in *with) startError(err error) error {
	missing := errors.Is(err, exec.ErrNotFound) || errors.Is(err, exec.ErrDot)
	switch {
	case tasks.OutOfResources(err):
		return tasks.CannotStart(fmt.Errorf("start command: %w", err))
	case missing && in.Shell == "":
		return tasks.CannotStart(fmt.Errorf("find the shell: %w", err))
	case missing:
		return tasks.Permanent(fmt.Errorf("find the shell: %w", err))
	case errors.Is(err, syscall.E2BIG):
		return tasks.Permanent(fmt.Errorf("start command: the script or a value in its environment is too long for this system, "+
			"large values can be read from the file $SLUICE_INPUT: %w", err))
	}
	return fmt.Errorf("start command: %w", err)
}

// KillAll kills the process groups of all commands that handlers of this process run, and waits for nothing. It is for a process that
// is about to end without an order.
func KillAll() { commands.killAll() }

// SelfTest runs a command that does nothing, in the same way as a task's.
func (h *Handler) SelfTest(ctx context.Context) error {
	_, err := h.Run(ctx, &tasks.Call{With: json.RawMessage(`{"script":":"}`), Stdout: io.Discard, Stderr: io.Discard})
	return err
}

// FilesPerTask counts both ends of two pipes, of which two are closed once the command has begun, and two descriptors of the process.
func (h *Handler) FilesPerTask() int { return 6 }

func describe(exit *exec.ExitError) string {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Sprintf("killed by signal %d (%s)", int(status.Signal()), status.Signal())
	}
	return fmt.Sprintf("exit code %d", exit.ExitCode())
}
