package shell

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// environ is the command's environment: this process's, then the task's own, then what the engine says. The later wins, so that
// no task can pass itself off as another.
func environ(call *tasks.Call, files *exchange) ([]string, error) {
	env := os.Environ()
	for _, name := range slices.Sorted(maps.Keys(call.Env)) {
		value := call.Env[name]
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return nil, fmt.Errorf("env: %q is no name for a variable", name)
		}
		if strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("env: the value of %s holds a NUL byte", name)
		}
		env = append(env, name+"="+value)
	}
	return append(env,
		"SLUICE_INPUT="+files.input,
		"SLUICE_OUTPUT="+files.output,
		"SLUICE_PIPELINE_EXECUTION_ID="+call.PipelineExecutionID.String(),
		"SLUICE_TASK_EXECUTION_ID="+call.TaskExecutionID.String(),
		"SLUICE_ATTEMPT="+strconv.Itoa(call.Attempt),
	), nil
}
