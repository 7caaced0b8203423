// Package shell implements the handler "shell", which runs a task's `run` text with a shell: `sh -e` unless the task
// names another. It passes the input to the command, records what the command prints and how it ends, and kills
// everything that the command started and left behind. It does not evaluate expressions, because the definition has
// already put their values into the environment. It stores nothing and isolates nothing: a command may do whatever
// the worker may do.
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

// DefaultLimit is the number of commands that one process runs at once, unless configured. Each command is a separate
// program.
const DefaultLimit = 64

// DefaultGrace is the default of Handler.Grace.
const DefaultGrace = 5 * time.Second

// Handler runs commands. Create it with New, set its fields before the first use, and close it after the last.
type Handler struct {
	// Grace is the time between SIGTERM and SIGKILL for a command whose context has ended.
	Grace time.Duration
	// Kill, once closed, ends all commands without the grace period.
	Kill <-chan struct{}
	// Environment selects the variables of this process that a command gets.
	Environment Environment
	// Orphans returns the process ids of the orphans that this process has inherited. If it is set, a command's
	// orphans end with the command. If it is nil, this process inherits none, and only the command's process group
	// ends with it.
	Orphans func() []int

	typed   tasks.Handler
	scratch scratch
}

// New returns a Handler with DefaultGrace.
func New() *Handler {
	h := &Handler{Grace: DefaultGrace}
	h.typed = tasks.NewHandler(h.Name(), h.run)
	return h
}

// Close removes the directory of the attempts' files. No command may be running.
func (h *Handler) Close() error { return h.scratch.close() }

// Name returns "shell".
func (h *Handler) Name() string { return "shell" }

// Limit returns DefaultLimit.
func (h *Handler) Limit() int { return DefaultLimit }

// Check checks the types of the fields and that the script is not blank. Its error is tasks.FieldErrors or a
// *tasks.FieldError.
func (h *Handler) Check(fields map[string]any) error {
	if err := h.typed.Check(fields); err != nil {
		return err
	}
	if script, ok := fields["script"].(string); ok && strings.TrimSpace(script) == "" {
		return &tasks.FieldError{Field: "script", Msg: "is empty", Hint: "write the command to run"}
	}
	return nil
}

// Run runs the script and returns what the script wrote to the file $SLUICE_OUTPUT. The working directory is that of
// this process unless the task names another.
//
// The error is of KindExit, and includes the last lines of the output, if the command exited with a non-zero status
// or was killed by a signal. It is of KindInvalidOutput if the output is not valid JSON or is too large, permanent if
// the script can never be started, a CannotStartError if this process lacks a resource, and wraps ctx.Err() if the
// context ended first.
func (h *Handler) Run(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
	return h.typed.Run(ctx, call)
}

func (h *Handler) run(ctx context.Context, in with) (json.RawMessage, error) {
	call, ok := tasks.AttemptFrom(ctx)
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

// execute runs cmd until it ends or ctx ends.
func (h *Handler) execute(ctx context.Context, cmd *exec.Cmd, call *tasks.Attempt, in *with) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("command not started: %w", err)
	}
	stdout, stderr := &stream{log: call.Stdout}, &stream{log: call.Stderr}
	p, err := start(cmd, owner{marks: marks(call), list: h.Orphans}, stdout, stderr)
	if err != nil {
		return in.startError(err)
	}
	stopped, err := p.wait(ctx, h.Grace, h.Kill)
	last := failureOutput(stderr, stdout)
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

// exitError returns the error for a command that did not end with exit code 0.
func (in *with) exitError(exit *exec.ExitError, last string) error {
	failed := &tasks.HandlerError{Kind: tasks.KindExit, Err: fmt.Errorf("%s%s", describe(exit), last)}
	if !exit.Exited() { // a signal ended it
		return failed
	}
	code := exit.ExitCode()
	if in.SkipExitCodes.Contains(code) {
		return &tasks.SkipError{Exit: code}
	}
	failed.Exit, failed.NonRetryable = &code, in.PermanentExitCodes.Contains(code)
	return failed
}

// startError classifies an error of the start. CannotStart means that the fault is this process's: it lacks memory,
// process ids or file descriptors, or the default shell is missing. NonRetryable means that no further attempt can
// succeed.
func (in *with) startError(err error) error {
	missing := errors.Is(err, exec.ErrNotFound) || errors.Is(err, exec.ErrDot)
	switch {
	case tasks.OutOfResources(err):
		return tasks.CannotStart(fmt.Errorf("start command: %w", err))
	case missing && in.Shell == "":
		return tasks.CannotStart(fmt.Errorf("find the shell: %w", err))
	case missing:
		return tasks.NonRetryable(fmt.Errorf("find the shell: %w", err))
	case errors.Is(err, syscall.E2BIG):
		return tasks.NonRetryable(
			fmt.Errorf("start command: the script or a value in its environment is too long for this system, "+
				"large values can be read from the file $SLUICE_INPUT: %w", err))
	}
	return fmt.Errorf("start command: %w", err)
}

// KillAll kills the process groups of all commands that this process runs and returns without waiting. It is for a
// process that is about to exit without a graceful shutdown.
func KillAll() { commands.killAll() }

// SelfTest runs a command that does nothing, in the same way as a task's command.
func (h *Handler) SelfTest(ctx context.Context) error {
	_, err := h.Run(ctx,
		&tasks.Attempt{With: json.RawMessage(`{"script":":"}`), Stdout: io.Discard, Stderr: io.Discard})
	return err
}

// FilesPerTask returns 6: both ends of two pipes, of which two are closed once the command has started, and two
// descriptors for the process.
func (h *Handler) FilesPerTask() int { return 6 }

func describe(exit *exec.ExitError) string {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Sprintf("killed by signal %d (%s)", int(status.Signal()), status.Signal())
	}
	return fmt.Sprintf("exit code %d", exit.ExitCode())
}
