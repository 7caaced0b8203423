package definition

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds on labels and descriptions, which do not change how a pipeline runs.
const (
	MaxLabels      = 16
	maxLabelValue  = 256  // characters
	maxDescription = 4096 // characters

	labelHint = "letters, digits, _ . / and -, at most 63, the first a letter or _"
)

var labelPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]{0,62}$`)

// labels reads a mapping of texts. Scalar values are read as they are written.
func (r *decoder) labels(n *yaml.Node, at *keyPath) map[string]string {
	out := map[string]string{}
	for _, p := range r.mapping(n, at, "labels", nil) {
		out[p.name] = r.anyText(p.value, at.key(p.name), "the label "+p.name)
	}
	return out
}

// CheckLabels validates the labels of a pipeline or a run. The error is of type Diagnostics, with paths below labels.
func CheckLabels(labels map[string]string) error {
	r := &decoder{}
	checkLabels(r, labels)
	return r.err()
}

func checkLabels(r *decoder, labels map[string]string) {
	top := (*keyPath)(nil).key("labels")
	if len(labels) > MaxLabels {
		r.add(top, "", "%d labels are more than the limit of %d", len(labels), MaxLabels)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		at, value := top.key(name), labels[name]
		switch n := utf8.RuneCountInString(value); {
		case !labelPattern.MatchString(name):
			r.add(at, labelHint, "invalid label name %.100q", name)
		case n > maxLabelValue:
			r.add(at, "", "the label %s has %d characters, more than the limit of %d", name, n, maxLabelValue)
		case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
			r.add(at, "one line of text", "the label %s holds a control character or invalid UTF-8", name)
		}
	}
}

// checkDescription checks a description. It may be empty.
func checkDescription(r *decoder, at *keyPath, text string) {
	checkText(r, at, "the description", text)
	if n := utf8.RuneCountInString(text); n > maxDescription {
		r.add(at, "", "the description has %d characters, more than the limit of %d", n, maxDescription)
	}
}

// inherit adds the defaults that a task inherits to the expanded size of the file. It reports whether the size is
// still within maxExpanded.
func (r *decoder) inherit(s settings) bool {
	size := nodeCost * len(s.retry.PermanentErrors)
	for name, value := range s.env {
		size += 2*nodeCost + len(name) + len(value)
	}
	if r.expanded = sum(r.expanded, size); r.expanded <= maxExpanded {
		return true
	}
	r.add((*keyPath)(nil).key("defaults"), "give the variables to the tasks that use them",
		"each task inherits %d bytes of defaults: %s", size, expandsTo(r.expanded))
	return false
}
