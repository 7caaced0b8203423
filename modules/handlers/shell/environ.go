package shell

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Environment selects the worker's variables that a command inherits, in addition to those that its task declares.
//
// The zero value passes PATH, HOME, USER, LANG, LC_*, TZ, TMPDIR, and http_proxy, https_proxy and no_proxy in lower
// and upper case. Names that begin with SLUICE_ are never passed, because they are sluice's own settings and include
// the database's password.
type Environment struct {
	// All passes all variables except PGPASSWORD and PGPASSFILE, which only Pass can add.
	All bool
	// Pass lists additional variables. A pattern that ends with * matches every name with that prefix. See CheckPass.
	Pass []string
}

var passed = []string{
	"PATH", "HOME", "USER", "LANG", "LC_*", "TZ", "TMPDIR",
	"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
}

// secrets are settings of sluice's own database connection that have no SLUICE_ prefix.
var secrets = []string{"PGPASSWORD", "PGPASSFILE"}

const ownPrefix = "SLUICE_"

// CheckPass returns an error if pattern is not allowed in Environment.Pass. A pattern is a variable's name or a
// prefix followed by *.
func CheckPass(pattern string) error {
	name := strings.TrimSuffix(pattern, "*")
	switch {
	case pattern == "" || strings.ContainsAny(name, "=*\x00 \t\n"):
		return fmt.Errorf("%q is not the name of a variable or a prefix with * at its end", pattern)
	case strings.HasPrefix(name, ownPrefix):
		return errors.New("sluice's own settings are not passed on: a task that needs one declares it in env " +
			"or env_file")
	}
	return nil
}

// of returns those of the variables, in the form NAME=value, that the command inherits.
func (e *Environment) of(variables []string) []string {
	out := make([]string, 0, len(variables)+8)
	for _, v := range variables {
		if name, _, ok := strings.Cut(v, "="); ok && e.passes(name) {
			out = append(out, v)
		}
	}
	return out
}

func (e *Environment) passes(name string) bool {
	switch {
	case strings.HasPrefix(name, ownPrefix):
		return false
	case matches(e.Pass, name):
		return true
	case e.All:
		return !slices.Contains(secrets, name)
	}
	return matches(passed, name)
}

func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		if prefix, ok := strings.CutSuffix(p, "*"); ok && strings.HasPrefix(name, prefix) || p == name {
			return true
		}
	}
	return false
}

const runDirName = ownPrefix + "RUN_DIR"

// usesRunDir reports whether the run's directory must exist when the command starts. It must if the task's fields or
// its declared environment contain the variable's name. A program that learns the path in another way must create the
// directory.
func (in *with) usesRunDir(env []string) bool {
	for _, text := range []string{in.Script, in.Shell, in.WorkingDirectory} {
		if strings.Contains(text, runDirName) {
			return true
		}
	}
	return slices.ContainsFunc(env, func(v string) bool { return strings.Contains(v, runDirName) })
}

// inRunDir returns path with a leading $SLUICE_RUN_DIR or ${SLUICE_RUN_DIR} replaced by the run's directory.
func inRunDir(path string, call *tasks.Attempt) string {
	for _, name := range []string{"$" + runDirName, "${" + runDirName + "}"} {
		if rest, ok := strings.CutPrefix(path, name); ok && call.RunDir != "" && (rest == "" || rest[0] == '/') {
			return call.RunDir + rest
		}
	}
	return path
}

// environ returns the command's environment. It consists of the inherited variables, the files of env_file, the
// task's env and the engine's variables, in this order. A later value overrides an earlier one, so a task cannot pose
// as another task.
func (h *Handler) environ(call *tasks.Attempt, in *with, files *exchange) ([]string, error) {
	env := h.Environment.of(os.Environ())
	for _, file := range in.EnvFile {
		declared, err := readEnvFile(file)
		switch {
		case err != nil && tasks.OutOfResources(err):
			return nil, tasks.CannotStart(err)
		case err != nil:
			return nil, err
		}
		env = append(env, declared...)
	}
	for _, name := range slices.Sorted(maps.Keys(call.Env)) {
		value := call.Env[name]
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return nil, tasks.NonRetryable(fmt.Errorf("env: invalid name of a variable %q", name))
		}
		if strings.ContainsRune(value, 0) {
			return nil, tasks.NonRetryable(fmt.Errorf("env: the value of %s holds a NUL byte", name))
		}
		env = append(env, name+"="+value)
	}
	if call.RunDir != "" {
		if in.usesRunDir(env) {
			if err := call.MakeRunDir(); err != nil {
				return nil, tasks.CannotStart(err)
			}
		}
		env = append(env, runDirName+"="+call.RunDir)
	}
	env = append(env,
		"SLUICE_INPUT="+files.input,
		"SLUICE_OUTPUT="+files.output,
		"SLUICE_PIPELINE_EXECUTION_ID="+call.PipelineExecutionID.String(),
	)
	return append(env, marks(call)...), nil
}

// marks returns the variables that identify the processes of an attempt.
func marks(call *tasks.Attempt) []string {
	return []string{"SLUICE_TASK_EXECUTION_ID=" + call.TaskExecutionID.String(), "SLUICE_ATTEMPT=" +
		strconv.Itoa(call.Number)}
}
