package shell

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// exchange is the directory of one attempt, readable only by this user. It holds the files that pass the input to the
// command and its output back.
type exchange struct {
	dir    string
	input  string
	output string
}

func newExchange(s *scratch, call *tasks.Attempt) (*exchange, error) {
	doc, err := newInput(call)
	if err != nil {
		return nil, tasks.NonRetryable(err)
	}
	dir, err := s.dir(doc.size())
	if err != nil {
		return nil, tasks.CannotStart(fmt.Errorf("make the attempt's directory: %w", err))
	}
	x := &exchange{dir: dir, input: filepath.Join(dir, "input.json"), output: filepath.Join(dir, "output.json")}
	if err = doc.write(x.input); err == nil {
		err = os.WriteFile(x.output, nil, 0o600) // a bind mount, for example, needs an existing file
	}
	var malformed *json.SyntaxError
	switch {
	case errors.As(err, &malformed):
		return nil, tasks.NonRetryable(errors.Join(err, os.RemoveAll(dir)))
	case err != nil:
		return nil, tasks.CannotStart(errors.Join(fmt.Errorf("write the attempt's files: %w", err), os.RemoveAll(dir)))
	}
	return x, nil
}

// writeScript writes the script to a file in the directory and returns the file's path.
func (x *exchange) writeScript(script string) (string, error) {
	path := filepath.Join(x.dir, "script")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		return "", tasks.CannotStart(fmt.Errorf("write the script's file: %w", err))
	}
	return path, nil
}

// remove removes the directory. If it cannot, it writes a note to log, because files that the command made and this
// user may not delete are no reason to fail the task.
func (x *exchange) remove(log io.Writer) {
	// These three system calls suffice in the usual case.
	_, _ = syscall.Unlink(x.input), syscall.Unlink(x.output)
	if syscall.Rmdir(x.dir) == nil {
		return
	}
	if err := os.RemoveAll(x.dir); err != nil && log != nil {
		_, _ = fmt.Fprintf(log, "sluice: the attempt's directory is left behind: %v\n", err)
	}
}

// readOutput returns the content of the output file. The command may have replaced the file, so a link, a named pipe
// or a directory is refused before it is followed or blocks.
func (x *exchange) readOutput() (json.RawMessage, error) {
	f, err := os.OpenFile(x.output, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, invalid("output file: %w", err)
	}
	defer func() { _ = f.Close() }() // read only
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, invalid("output file: %w", err)
	case !info.Mode().IsRegular():
		return nil, invalid("the output file is no longer a plain file (%s)", info.Mode())
	case info.Size() > tasks.MaxOutput:
		return nil, invalid("output is %d bytes, at most %d are kept", info.Size(), tasks.MaxOutput)
	}
	raw, err := io.ReadAll(io.LimitReader(f, tasks.MaxOutput))
	if err != nil {
		return nil, invalid("output file: %w", err)
	}
	return document(raw)
}

// document returns the JSON value in raw, or nil if raw is blank. Anything else is an error of KindInvalidOutput.
func document(raw []byte) (json.RawMessage, error) {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	value := bytes.TrimSpace(raw)
	if len(value) == 0 {
		return nil, nil
	}
	if err := jsonvalue.Check(raw, tasks.MaxOutput); err != nil {
		return nil, invalid("output: %w; it starts with %s", err, quoteStart(value))
	}
	return value, nil
}

func quoteStart(raw []byte) string {
	return fmt.Sprintf("%q", tasks.SanitizeText(string(raw[:min(len(raw), 400)]), 200))
}

func invalid(format string, args ...any) error {
	return tasks.WithKind(tasks.KindInvalidOutput, fmt.Errorf(format, args...))
}
