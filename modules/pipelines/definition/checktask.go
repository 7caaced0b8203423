package definition

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/duration"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// applyDefaults sets the defaults of a task built in Go. A retry policy with no field set, except PermanentErrors,
// becomes the default policy. In other policies MaxDelay and Jitter keep a zero value, because it has a meaning there.
func (t *Task) applyDefaults() {
	if t.TriggerRule == "" {
		t.TriggerRule = AllSuccess
	}
	if t.Timeout == 0 {
		t.Timeout = DefaultTimeout
	}
	if t.Queue == "" {
		t.Queue = tasks.DefaultQueue
	}
	if t.Priority == "" {
		t.Priority = tasks.Normal
	}
	standard, p := tasks.DefaultRetryPolicy(), &t.Retry
	if p.MaxAttempts == 0 && p.Backoff == "" && p.Delay == 0 && p.MaxDelay == 0 && p.Jitter == 0 {
		standard.PermanentErrors = p.PermanentErrors
		t.Retry = standard
		return
	}
	if p.MaxAttempts == 0 {
		p.MaxAttempts = standard.MaxAttempts
	}
	if p.Backoff == "" {
		p.Backoff = standard.Backoff
	}
	if p.Delay == 0 {
		p.Delay = standard.Delay
		if p.MaxDelay > 0 {
			p.Delay = min(p.Delay, p.MaxDelay)
		}
	}
}

// check checks one task on its own. buildGraph and compile check it together with the others.
func (t *Task) check(r *yamlfile.Decoder, i int, c HandlerSource) {
	if t.ID != "" && !namePattern.MatchString(t.ID) {
		r.Add(taskPath(i).Key("id"), nameHint, "invalid task id %.100q", t.ID)
	}
	checkDescription(r, taskPath(i).Key("description"), t.Description)
	t.checkWork(r, i, c)
	t.checkEnv(r, i)
	checkText(r, taskPath(i).Key("if"), "if", t.If)
	switch at := taskPath(i).Key("trigger_rule"); {
	case !known(t.TriggerRule, Rules()):
		r.Add(at, r.Suggest(string(t.TriggerRule), names(Rules())), "unknown trigger rule %q", t.TriggerRule)
	case len(t.Needs) == 0 && t.TriggerRule.needsDependencies():
		r.Add(at, "say what it needs, or drop the rule", "%s can never hold for a task that needs nothing",
			t.TriggerRule)
	}
	if t.Timeout < 0 {
		r.Add(taskPath(i).Key("timeout"), duration.Hint, "timeout is negative")
	}
	checkRetry(r, taskPath(i).Key("retry"), t.Retry)
	if !tasks.ValidQueue(t.Queue) {
		r.Add(taskPath(i).Key("queue"), tasks.QueueNameRule, "invalid queue name %.100q", t.Queue)
	}
	if !known(t.Priority, tasks.Priorities()) {
		r.Add(taskPath(i).Key("priority"), r.Suggest(string(t.Priority), names(tasks.Priorities())),
			"unknown priority %q", t.Priority)
	}
}

// checkWork checks what the task runs: either run, or uses and with.
func (t *Task) checkWork(r *yamlfile.Decoder, i int, c HandlerSource) {
	at := taskPath(i)
	switch {
	case t.Run != "" && t.Uses != "":
		r.Add(at.Key("uses"), "keep one of them", "the task has both run and uses")
	case t.Run == "" && t.Uses == "":
		if !r.IsSuppressed(at.Key("run")) && !r.IsSuppressed(at.Key("uses")) {
			r.Add(at, "run: is a shell command, uses: names a handler", "the task has neither run nor uses")
		}
	case t.Run != "":
		t.checkRun(r, at)
	default:
		t.checkUses(r, at, c)
	}
}

func (t *Task) checkRun(r *yamlfile.Decoder, at *yamlfile.Path) {
	t.checkCommand(r, at)
	checkText(r, at.Key("run"), "run", t.Run)
	if len(t.Run) > maxRun {
		r.Add(at.Key("run"), "put it into a file and run that", "run has %d bytes, more than the limit of %d",
			len(t.Run), maxRun)
	}
	if t.With != nil {
		r.Add(at.Key("with"), "a command is given values by env", "with belongs to uses, and the task has run")
	}
}

func (t *Task) checkUses(r *yamlfile.Decoder, at *yamlfile.Path, c HandlerSource) {
	t.checkNoCommand(r, at)
	if t.Uses == ShellHandler {
		r.Add(at.Key("uses"), "write run: and the command", "the shell is not used by its name")
		return
	}
	with, ok := t.canonicalWith(r, at.Key("with"))
	if c == nil {
		return
	}
	handler, found := c.Handler(t.Uses)
	if !found {
		others := slices.DeleteFunc(slices.Clone(c.Names()), func(n string) bool { return n == ShellHandler })
		r.Add(at.Key("uses"), r.Suggest(t.Uses, others), "unknown handler %q", t.Uses)
		return
	}
	if !ok {
		return
	}
	if err := handler.Check(with); err != nil {
		reportWith(r, at.Key("with"), with, err)
	}
}

// canonicalWith converts With to canonical form and returns it decoded, with numbers as json.Number.
func (t *Task) canonicalWith(r *yamlfile.Decoder, at *yamlfile.Path) (map[string]any, bool) {
	if t.With == nil {
		return map[string]any{}, true
	}
	if err := jsonvalue.Check(t.With, MaxInput); err != nil {
		r.Add(at, "", "with is not valid JSON: %v", err)
		return nil, false
	}
	v, err := jsonvalue.Decode(t.With)
	if err != nil {
		r.Add(at, "", "with is not valid JSON: %v", err)
		return nil, false
	}
	with, ok := v.(map[string]any)
	if !ok {
		r.Add(at, "", "with is %s, and must be an object", jsonvalue.Kind(v))
		return nil, false
	}
	t.With = jsonvalue.MustEncode(with)
	return with, true
}

// reportWith reports a handler's errors at the keys that they name.
func reportWith(r *yamlfile.Decoder, at *yamlfile.Path, with map[string]any, err error) {
	var one *tasks.FieldError
	if !errors.As(err, &one) { // FieldErrors contain one
		r.Add(at, "", "%v", err)
		return
	}
	for _, field := range tasks.FieldErrorsOf(err) {
		reportField(r, at, with, field)
	}
}

func reportField(r *yamlfile.Decoder, at *yamlfile.Path, with map[string]any, field *tasks.FieldError) {
	if field.Field == "" {
		r.Add(at, field.Hint, "with: %s", field.Msg)
		return
	}
	if _, ok := with[field.Field]; ok {
		at = at.Key(field.Field)
	} else {
		for _, name := range strings.Split(field.Field, ".") {
			at = at.Key(name)
		}
	}
	r.Add(at, field.Hint, "with.%s: %s", field.Field, field.Msg)
}

func (t *Task) checkEnv(r *yamlfile.Decoder, i int) {
	for _, name := range slices.Sorted(maps.Keys(t.Env)) {
		at := func() *yamlfile.Path { return taskPath(i).Key("env").Key(name) }
		switch {
		case !envPattern.MatchString(name):
			r.Add(at(), envHint, "invalid environment variable name %.100q", name)
		case strings.HasPrefix(name, "SLUICE_") && !slices.Contains(settingsOfSluice, name):
			r.Add(at(), "choose another name", "names with SLUICE_ at the start are set by the worker: %s", name)
		}
		checkText(r, at(), "the value of "+name, t.Env[name])
	}
}

func checkRetry(r *yamlfile.Decoder, at *yamlfile.Path, p tasks.RetryPolicy) {
	if p.MaxAttempts < 1 || p.MaxAttempts > maxAttempts {
		r.Add(at.Key("max_attempts"), attemptsHint, "max_attempts is %d", p.MaxAttempts)
	}
	if !known(p.Backoff, tasks.Backoffs()) {
		r.Add(at.Key("backoff"), r.Suggest(string(p.Backoff), names(tasks.Backoffs())), "unknown backoff %q", p.Backoff)
	}
	checkDelay := func(name string, d time.Duration) {
		if d < 0 {
			r.Add(at.Key(name), duration.Hint, "%s is negative", name)
		}
	}
	checkDelay("delay", p.Delay)
	checkDelay("max_delay", p.MaxDelay)
	if p.MaxDelay > 0 && p.MaxDelay < p.Delay {
		r.Add(at.Key("max_delay"), "", "max_delay (%s) is shorter than delay (%s)", p.MaxDelay, p.Delay)
	}
	if !(p.Jitter >= 0 && p.Jitter <= 1) {
		r.Add(at.Key("jitter"), jitterHint, "jitter is %v", p.Jitter)
	}
	for i, kind := range p.PermanentErrors {
		if !known(kind, tasks.ErrorKinds()) {
			r.Add(at.Key("permanent_errors").Item(i), r.Suggest(string(kind), names(tasks.ErrorKinds())),
				"unknown kind of error %q", kind)
		}
	}
}

const (
	maxAttempts  = 1000
	attemptsHint = "from 1, which is no retry, to 1000"
	jitterHint   = "from 0 to 1: 0.2 varies the delay by ± 20 %"
)
