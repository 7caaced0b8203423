package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
)

// filterFlags select executions.
type filterFlags struct {
	statuses                       []pipelines.Status
	pipeline, since, until, errors string
	labels                         map[string]string
}

func (f *filterFlags) add(cmd *cobra.Command) {
	cmd.Flags().Var(&statusList{&f.statuses}, "status",
		"only those with `STATUS`: Running, Paused, Completed, Failed or Cancelled; several separated by commas, or "+
			"the flag repeated")
	cmd.Flags().StringVar(&f.pipeline, "pipeline", "", "only those of the pipeline `NAME`")
	cmd.Flags().StringVar(&f.since, "since", "",
		"only those created at `TIME` or later: an instant, or how long ago, such as 1h or 7d")
	cmd.Flags().StringVar(&f.until, "until", "", "only those created before `TIME`")
	cmd.Flags().StringVar(&f.errors, "error", "", "only those whose error contains `TEXT`, in capitals or not")
	labelFlag(cmd, &f.labels, "only those with the label `NAME=VALUE`; repeated: with all of them")
}

func (f *filterFlags) given() bool {
	return len(f.statuses) > 0 || f.pipeline != "" || f.since != "" || f.until != "" || f.errors != "" ||
		len(f.labels) > 0
}

// filter reads the flags. now is the database's time.
func (f *filterFlags) filter(now time.Time) (engine.Filter, error) {
	out := engine.Filter{PipelineName: f.pipeline, Statuses: f.statuses, Error: f.errors, Labels: f.labels}
	var err error
	if out.Since, err = parseInstant("--since", f.since, now); err != nil {
		return out, err
	}
	out.Until, err = parseInstant("--until", f.until, now)
	return out, err
}

// line returns the flags as they would be given again.
func (f *filterFlags) line() string {
	var b strings.Builder
	add := func(flag, value string) {
		if value != "" {
			b.WriteString(" --" + flag + " " + quoted(value))
		}
	}
	words := make([]string, len(f.statuses))
	for i, s := range f.statuses {
		words[i] = string(s)
	}
	add("status", strings.Join(words, ","))
	add("pipeline", f.pipeline)
	add("since", f.since)
	add("until", f.until)
	add("error", f.errors)
	for _, name := range slices.Sorted(maps.Keys(f.labels)) {
		add("label", name+"="+f.labels[name])
	}
	return b.String()
}

// quoted returns a word quoted for a shell, if it needs quotes.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("-_./:,=@+", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// statusList is a flag with several statuses of executions, in any case.
type statusList struct{ value *[]pipelines.Status }

func (l *statusList) Type() string   { return "STATUS" }
func (l *statusList) String() string { return strings.Join(l.GetSlice(), ",") }

// Set adds the statuses of one flag to those of earlier flags.
func (l *statusList) Set(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		if err := l.Append(strings.TrimSpace(part)); err != nil {
			return err
		}
	}
	return nil
}

// Append, Replace and GetSlice let a configuration file set the flag with a list.
func (l *statusList) Append(s string) error {
	allowed := []string{}
	for _, x := range pipelines.Statuses() {
		allowed = append(allowed, string(x))
		if strings.EqualFold(string(x), s) {
			if !slices.Contains(*l.value, x) {
				*l.value = append(*l.value, x)
			}
			return nil
		}
	}
	return errors.New(didYouMean(s, allowed, "expected one of "+strings.Join(allowed, ", ")))
}

func (l *statusList) Replace(list []string) error {
	*l.value = nil
	return l.Set(strings.Join(list, ","))
}

func (l *statusList) GetSlice() []string {
	out := make([]string, len(*l.value))
	for i, s := range *l.value {
		out[i] = string(s)
	}
	return out
}

// labelList is a flag with one label, which may be repeated.
type labelList struct{ value *map[string]string }

func labelFlag(cmd *cobra.Command, value *map[string]string, usage string) {
	cmd.Flags().Var(&labelList{value}, "label", usage)
}

func (l *labelList) Type() string   { return "NAME=VALUE" }
func (l *labelList) String() string { return strings.Join(l.GetSlice(), ",") }

func (l *labelList) Set(s string) error { return l.Append(s) }

// Append, Replace and GetSlice let a configuration file set the flag with a list.
func (l *labelList) Append(s string) error {
	name, value, found := strings.Cut(s, "=")
	if !found || name == "" {
		return errors.New("expected NAME=VALUE")
	}
	if err := definition.CheckLabels(map[string]string{name: value}); err != nil {
		return err
	}
	if former, ok := (*l.value)[name]; ok && former != value {
		return fmt.Errorf("%s is %q already", name, former)
	}
	if *l.value == nil {
		*l.value = map[string]string{}
	}
	(*l.value)[name] = value
	return nil
}

func (l *labelList) Replace(list []string) error {
	*l.value = nil
	for _, s := range list {
		if err := l.Append(s); err != nil {
			return err
		}
	}
	return nil
}

func (l *labelList) GetSlice() []string {
	out := []string{}
	for _, name := range slices.Sorted(maps.Keys(*l.value)) {
		out = append(out, name+"="+(*l.value)[name])
	}
	return out
}
