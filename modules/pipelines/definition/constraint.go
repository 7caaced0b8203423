package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

const maxPattern = 1000 // bytes

// choices reads a list of scalar values.
func (r reader) choices(n *yaml.Node, at *yamlfile.Path) []json.RawMessage {
	if n.Kind != yaml.SequenceNode {
		r.AddAt(n, at, "choices: [small, large]", "choices must be a list of values, and is %s", yamlfile.Describe(n))
		return nil
	}
	if len(n.Content) == 0 {
		r.AddAt(n, at, "give it a value or leave the key out", "choices is empty")
		return nil
	}
	out := make([]json.RawMessage, len(n.Content))
	for i, c := range n.Content {
		if c.Kind != yaml.ScalarNode || c.Tag == "!!null" {
			r.AddAt(c, at.Item(i), "", "a choice is a text, a number, true or false, and this is %s",
				yamlfile.Describe(c))
			return nil
		}
		out[i] = jsonvalue.MustEncode(r.Value(c, at.Item(i)))
	}
	return out
}

// checkConstraints checks a field's constraints other than its type, and compiles the pattern.
func (f *InputField) checkConstraints(r *yamlfile.Decoder, at *yamlfile.Path) {
	for i, c := range f.Choices {
		v, err := jsonvalue.Decode(c)
		if err != nil || jsonvalue.Check(c, MaxInput) != nil {
			r.Add(at.Key("choices").Item(i), "", "a choice is not valid JSON")
			return
		}
		if hint, ok := matches(f.Type, v); !ok {
			r.Add(at.Key("choices").Item(i), hint, "the choice %.100s is %s, and the field's type is %s", c,
				jsonvalue.Kind(v),
				f.Type)
		}
	}
	numeric := f.Type == TypeInteger || f.Type == TypeNumber
	for _, bound := range []struct {
		name  string
		value json.Number
	}{{"min", f.Min}, {"max", f.Max}} {
		switch {
		case bound.value == "":
		case !numeric:
			r.Add(at.Key(bound.name), "type: integer or type: number", "%s is for numbers, and the field's type is %s",
				bound.name, f.Type)
		case exactNumber(bound.value) == nil:
			r.Add(at.Key(bound.name), "", "invalid %s %.100q", bound.name, bound.value)
		}
	}
	if low, high := exactNumber(f.Min), exactNumber(f.Max); low != nil && high != nil && low.Cmp(high) > 0 {
		r.Add(at.Key("max"), "", "max (%s) is less than min (%s)", f.Max, f.Min)
	}
	switch {
	case f.Pattern == "":
	case f.Type != TypeString:
		r.Add(at.Key("pattern"), "type: string", "pattern is for texts, and the field's type is %s", f.Type)
	case len(f.Pattern) > maxPattern:
		r.Add(at.Key("pattern"), "", "the pattern has %d bytes, more than the limit of %d", len(f.Pattern), maxPattern)
	default:
		if err := f.compilePattern(); err != nil {
			r.Add(at.Key("pattern"), "the syntax is RE2: https://github.com/google/re2/wiki/Syntax", "%v", err)
		}
	}
}

func (f *InputField) compilePattern() (err error) {
	if f.Pattern != "" {
		f.pattern, err = regexp.Compile(f.Pattern)
	}
	return err
}

// violated returns the reason why a value of the field's type is not allowed, or the empty string if it is.
func (f *InputField) violated(v any) string {
	if len(f.Choices) > 0 && !f.isChoice(v) {
		texts := make([]string, len(f.Choices))
		for i, c := range f.Choices {
			texts[i] = string(c)
		}
		return fmt.Sprintf("it is %s, and must be one of %s", shown(v), cut(strings.Join(texts, ", ")))
	}
	switch v := v.(type) {
	case json.Number:
		n := exactNumber(v)
		if low := exactNumber(f.Min); low != nil && n != nil && n.Cmp(low) < 0 {
			return fmt.Sprintf("it is %s, and must be at least %s", shown(v), f.Min)
		}
		if high := exactNumber(f.Max); high != nil && n != nil && n.Cmp(high) > 0 {
			return fmt.Sprintf("it is %s, and must be at most %s", shown(v), f.Max)
		}
	case string:
		if f.pattern != nil && !f.pattern.MatchString(v) {
			return fmt.Sprintf("it is %s, and must match the pattern %s", shown(v), f.Pattern)
		}
	}
	return ""
}

func (f *InputField) isChoice(v any) bool {
	given := jsonvalue.MustEncode(v)
	for _, c := range f.Choices {
		if bytes.Equal(c, given) {
			return true
		}
		if n, ok := v.(json.Number); ok {
			if a, b := exactNumber(n), exactNumber(json.Number(c)); a != nil && b != nil && a.Cmp(b) == 0 {
				return true
			}
		}
	}
	return false
}

// exactNumber returns the exact value of a number within the range that jsonvalue.Check allows, or nil.
func exactNumber(n json.Number) *big.Rat {
	if n == "" || !json.Valid([]byte(n)) || !jsonvalue.Storable(string(n)) {
		return nil
	}
	v, ok := new(big.Rat).SetString(string(n))
	if !ok {
		return nil
	}
	return v
}

func shown(v any) string { return cut(string(jsonvalue.MustEncode(v))) }

// cut shortens a value for a message.
func cut(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
