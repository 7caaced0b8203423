package app

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// handlerLimits is a flag with limits of handlers as HANDLER=N. It may be repeated, and may hold several, separated
// by commas.
type handlerLimits struct{ value *map[string]int }

func (l *handlerLimits) Type() string   { return "HANDLER=N" }
func (l *handlerLimits) String() string { return strings.Join(l.GetSlice(), ",") }

func (l *handlerLimits) Set(s string) error { return l.add(strings.Split(s, ",")) }

// Append, Replace and GetSlice let a configuration file set the flag with a list.
func (l *handlerLimits) Append(s string) error { return l.Set(s) }

func (l *handlerLimits) Replace(list []string) error {
	*l.value = nil
	return l.add(list)
}

func (l *handlerLimits) GetSlice() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(*l.value)) {
		list = append(list, fmt.Sprintf("%s=%d", name, (*l.value)[name]))
	}
	return list
}

func (l *handlerLimits) add(list []string) error {
	limits := maps.Clone(*l.value)
	if limits == nil {
		limits = map[string]int{}
	}
	for _, s := range list {
		name, number, found := strings.Cut(strings.TrimSpace(s), "=")
		n, err := strconv.Atoi(number)
		if !found || name == "" || err != nil || n < 1 {
			return fmt.Errorf("%q: expected a handler and a whole number from 1, such as shell=64", s)
		}
		limits[name] = n
	}
	*l.value = limits
	return nil
}

// knownHandlers returns an error for a limit of a handler that this program does not have.
func knownHandlers(limits map[string]int, handlers *tasks.Registry) error {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		if _, ok := handlers.Handler(name); !ok {
			known := handlers.Names()
			return withHint(usagef("--handler-limit: unknown handler %q", name),
				didYouMean(name, known, "the handlers are "+strings.Join(known, ", ")))
		}
	}
	return nil
}
