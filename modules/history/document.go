package history

import (
	"maps"
	"reflect"
	"slices"

	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// differences collects the values of one task, or of the executions, that differ.
type differences struct {
	task dbtype.Text
	list []Difference
}

func (d *differences) add(field string, first, second any) {
	d.list = append(d.list, Difference{d.task, field, first, second})
}

// text compares texts. An empty text counts as no value.
func (d *differences) text(field, first, second string) {
	if first == second {
		return
	}
	value := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	d.add(field, value(first), value(second))
}

func (d *differences) number(field string, first, second int) {
	if first != second {
		d.add(field, first, second)
	}
}

// document compares JSON by value. If both sides are objects, it adds only the keys that differ.
func (d *differences) document(field string, first, second dbtype.JSON) {
	a, b := meaning(first), meaning(second)
	if reflect.DeepEqual(a, b) {
		return
	}
	x, isObject := a.(map[string]any)
	y, areObjects := b.(map[string]any)
	if !isObject || !areObjects {
		d.add(field, a, b)
		return
	}
	keys := maps.Clone(x)
	maps.Copy(keys, y)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !reflect.DeepEqual(x[key], y[key]) {
			d.add(field+"."+key, x[key], y[key])
		}
	}
}

// meaning decodes a document, and keeps its numbers as written. It returns invalid JSON as text.
func meaning(j dbtype.JSON) any {
	if len(j) == 0 {
		return nil
	}
	v, err := jsonvalue.Decode(j)
	if err != nil {
		return string(j)
	}
	return v
}
