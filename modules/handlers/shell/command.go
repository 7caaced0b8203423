package shell

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// with is the task's `with`.
type with struct {
	Script             string          `json:"script" sluice:"required"`
	Shell              string          `json:"shell"`
	WorkingDirectory   string          `json:"working_directory"`
	EnvFile            []string        `json:"env_file"`
	PermanentExitCodes tasks.ExitCodes `json:"permanent_exit_codes"`
	SkipExitCodes      tasks.ExitCodes `json:"skip_exit_codes"`
}

const scriptPath = "{0}"

// command returns the command that runs the script. It stores the script in a file of files if the shell needs one.
func (in *with) command(files *exchange) (*exec.Cmd, error) {
	if strings.ContainsRune(in.Script+in.Shell+in.WorkingDirectory, 0) {
		return nil, tasks.NonRetryable(errors.New("the script, its shell or its working directory holds a NUL byte"))
	}
	words, err := in.words(files)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(words[0], words[1:]...) //nolint:noctx // process.wait ends the group with the context
	if in.WorkingDirectory != "" {
		if cmd.Dir, err = filepath.Abs(in.WorkingDirectory); err != nil {
			return nil, fmt.Errorf("working_directory: %w", err)
		}
		if err := isDirectory(cmd.Dir); err != nil {
			return nil, fmt.Errorf("working_directory: %w", err)
		}
	}
	return cmd, nil
}

// words returns the program and its arguments.
func (in *with) words(files *exchange) ([]string, error) {
	switch in.Shell {
	case "", "sh":
		return []string{"sh", "-e", "-c", in.Script}, nil
	case "bash":
		return []string{"bash", "-eo", "pipefail", "-c", in.Script}, nil
	case "python":
		program := "python3"
		if _, err := exec.LookPath(program); err != nil {
			program = "python"
		}
		return []string{program, "-c", in.Script}, nil
	}
	if !strings.Contains(in.Shell, scriptPath) {
		return nil, tasks.NonRetryable(fmt.Errorf("unknown shell %q", in.Shell))
	}
	path, err := files.writeScript(in.Script)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(in.Shell)
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], scriptPath, path)
	}
	return words, nil
}

// isDirectory returns an error if path is not a directory. It is checked before the start, because an error of the
// start would name the program instead of the directory.
func isDirectory(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	}
	return nil
}
