package definition

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
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
func (r reader) labels(n *yaml.Node, at *yamlfile.Path) map[string]string {
	out := map[string]string{}
	for _, p := range r.Mapping(n, at, "labels", nil) {
		out[p.Name] = r.AnyText(p.Value, at.Key(p.Name), "the label "+p.Name)
	}
	return out
}

// CheckLabels validates the labels of a pipeline or a run. The error is of type Diagnostics, with paths below labels.
func CheckLabels(labels map[string]string) error {
	r := &yamlfile.Decoder{}
	checkLabels(r, labels)
	return failure("", r)
}

func checkLabels(r *yamlfile.Decoder, labels map[string]string) {
	top := yamlfile.Key("labels")
	if len(labels) > MaxLabels {
		r.Add(top, "", "%d labels are more than the limit of %d", len(labels), MaxLabels)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		at, value := top.Key(name), labels[name]
		switch n := utf8.RuneCountInString(value); {
		case !labelPattern.MatchString(name):
			r.Add(at, labelHint, "invalid label name %.100q", name)
		case n > maxLabelValue:
			r.Add(at, "", "the label %s has %d characters, more than the limit of %d", name, n, maxLabelValue)
		case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
			r.Add(at, "one line of text", "the label %s holds a control character or invalid UTF-8", name)
		}
	}
}

// checkDescription checks a description. It may be empty.
func checkDescription(r *yamlfile.Decoder, at *yamlfile.Path, text string) {
	checkText(r, at, "the description", text)
	if n := utf8.RuneCountInString(text); n > maxDescription {
		r.Add(at, "", "the description has %d characters, more than the limit of %d", n, maxDescription)
	}
}

// inherit adds the defaults that a task inherits to the expanded size of the file. It reports whether the size is
// still within its limit.
func (r reader) inherit(s settings) bool {
	size := yamlfile.NodeCost * len(s.retry.PermanentErrors)
	for name, value := range s.env {
		size += 2*yamlfile.NodeCost + len(name) + len(value)
	}
	if r.Grow(size) {
		return true
	}
	r.Add(yamlfile.Key("defaults"), "give the variables to the tasks that use them",
		"each task inherits %d bytes of defaults: %s", size, r.TooLarge())
	return false
}
