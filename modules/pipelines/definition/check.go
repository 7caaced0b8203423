package definition

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
	"github.com/sluiceworks/sluice/platform/duration"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// MaxTasks is the maximum number of tasks of a pipeline.
const MaxTasks = 100_000

const (
	maxRun    = 128<<10 - 1 // longest argument that Linux passes to a program, in bytes
	nameHint  = "letters, digits, _ . and -, at most 100, the first a letter or digit"
	fieldHint = "letters, digits, _ and -, at most 100, the first a letter or _"
	envHint   = "letters, digits and _, the first no digit"
)

var (
	namePattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)
	fieldPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,99}$`)
	envPattern   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// Check validates a definition that was built in Go and prepares it to run. It sets the defaults of empty fields
// (trigger rule, timeout, retry policy), converts With and the defaults of inputs to canonical JSON, checks
// everything that Parse checks, and compiles the expressions. The error is of type Diagnostics, with paths instead of
// lines. If c is nil, handlers are not checked. After an error the definition must not be used.
func (d *Definition) Check(c HandlerSource) error {
	r := &yamlfile.Decoder{}
	d.check(r, c)
	return failure("", r)
}

func (d *Definition) check(r *yamlfile.Decoder, c HandlerSource) {
	if d.Name == "" {
		r.Add(yamlfile.Key("name"), "write name: and the pipeline's name", "the pipeline has no name")
	} else if !namePattern.MatchString(d.Name) {
		r.Add(yamlfile.Key("name"), nameHint, "invalid pipeline name %.100q", d.Name)
	}
	checkDescription(r, yamlfile.Key("description"), d.Description)
	checkLabels(r, d.Labels)
	d.checkFields(r)
	d.Retention.check(r)
	if d.Timeout < 0 {
		r.Add(yamlfile.Key("timeout"), duration.Hint, "timeout is negative")
	}
	tasksPlace := yamlfile.Key("tasks")
	switch n := len(d.Tasks); {
	case n == 0:
		r.Add(tasksPlace, "a pipeline has at least one", "the pipeline has no tasks")
	case n > MaxTasks:
		r.Add(tasksPlace, "", "%d tasks are more than the limit of %d", n, MaxTasks)
		return
	}
	for i := range d.Tasks {
		d.Tasks[i].applyDefaults()
		d.Tasks[i].check(r, i, c)
	}
	d.buildGraph(r)
	d.compile(r)
}

// checkFields checks the declarations of the input's fields.
func (d *Definition) checkFields(r *yamlfile.Decoder) {
	seen := make(map[string]bool, len(d.Input))
	for i := range d.Input {
		f := &d.Input[i]
		at := yamlfile.Key("input").Key(f.Name)
		switch {
		case !fieldPattern.MatchString(f.Name):
			r.Add(at, fieldHint, "invalid input field name %.100q", f.Name)
		case seen[f.Name]:
			r.Add(at, "", "the input field %q is declared twice", f.Name)
		}
		seen[f.Name] = true
		f.check(r, at)
	}
}

func (f *InputField) check(r *yamlfile.Decoder, at *yamlfile.Path) {
	if f.Type == "" {
		f.Type = TypeAny
	}
	checkDescription(r, at.Key("description"), f.Description)
	if !known(f.Type, fieldTypes) {
		r.Add(at.Key("type"), r.Suggest(f.Type, fieldTypes), "unknown type %q", f.Type)
		return
	}
	f.checkConstraints(r, at)
	if f.Default == nil {
		return
	}
	if f.Required {
		r.Add(at.Key("default"), "drop one of them", "a required field needs no default")
	}
	if err := jsonvalue.Check(f.Default, MaxInput); err != nil {
		r.Add(at.Key("default"), "", "the default is not valid JSON: %v", err)
		return
	}
	v, err := jsonvalue.Decode(f.Default)
	if err != nil {
		r.Add(at.Key("default"), "", "the default is not valid JSON: %v", err)
		return
	}
	if hint, ok := matches(f.Type, v); !ok {
		r.Add(at.Key("default"), hint, "the default is %s, and the field's type is %s", jsonvalue.Kind(v), f.Type)
		return
	}
	if wrong := f.violated(v); wrong != "" {
		r.Add(at.Key("default"), "", "the default: %s", wrong)
		return
	}
	f.Default = jsonvalue.MustEncode(v)
}

// checkText reports a string that a database or a shell cannot store: invalid UTF-8 and NUL bytes.
func checkText(r *yamlfile.Decoder, at *yamlfile.Path, what, s string) {
	if !utf8.ValidString(s) {
		r.Add(at, "", "%s is not valid UTF-8", what)
	} else if !clean(s) {
		r.Add(at, "", "%s holds a NUL byte", what)
	}
}

func clean(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// names converts the values of a closed set to strings.
func names[S ~string](values []S) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

func known[S ~string](v S, values []S) bool { return slices.Contains(values, v) }
