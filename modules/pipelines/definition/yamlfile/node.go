package yamlfile

import (
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/platform/duration"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
	"github.com/sluiceworks/sluice/platform/suggest"
)

// Entry is one entry of a mapping.
type Entry struct {
	Name  string
	Value *yaml.Node
}

// Mapping returns the entries of a mapping in their order. If allowed is not nil, it reports other keys.
func (d *Decoder) Mapping(n *yaml.Node, at *Path, what string, allowed []string) []Entry {
	if n.Kind != yaml.MappingNode {
		d.AddAt(n, at, "", "%s must be a mapping, and is %s", what, Describe(n))
		return nil
	}
	pairs := make([]Entry, 0, len(n.Content)/2)
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null":
			d.AddAt(key, at.Key(key.Value), "", "a key must be a text, and is %s", Describe(key))
		case seen[key.Value]:
			d.AddAt(key, at.Key(key.Value), "", "duplicate key %q in %s", key.Value, what)
		case allowed != nil && !slices.Contains(allowed, key.Value):
			d.unknownKey(key, at, what, allowed, seen)
		case allowed != nil && value.Tag == "!!null":
			d.AddAt(value, at.Key(key.Value), "give it a value or leave the key out", "%s is empty", key.Value)
		default:
			pairs = append(pairs, Entry{key.Value, value})
		}
		seen[key.Value] = true
	}
	return pairs
}

// unknownKey reports an unknown key. It also suppresses the key that was probably meant, so that it is not reported
// as missing.
func (d *Decoder) unknownKey(key *yaml.Node, at *Path, what string, allowed []string, seen map[string]bool) {
	hint := d.Suggest(key.Value, allowed)
	d.AddAt(key, at.Key(key.Value), hint, "unknown key %q in %s", key.Value, what)
	if meant := suggest.Nearest(key.Value, allowed); meant != "" && !seen[meant] {
		d.suppress(at.Key(meant))
	}
}

// Text reads a scalar that must be text. An unquoted date counts as text, because no setting is a time.
func (d *Decoder) Text(n *yaml.Node, at *Path, what string) string {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" && n.Tag != "!!timestamp" {
		hint := ""
		if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
			hint = "put it into quotes"
		}
		d.AddAt(n, at, hint, "%s must be a text, and is %s", what, Describe(n))
		return ""
	}
	if strings.TrimSpace(n.Value) == "" {
		d.AddAt(n, at, "give it a value or leave the key out", "%s is empty", what)
		return ""
	}
	return n.Value
}

// AnyText returns any scalar as it is written, so that 1.10 stays 1.10.
func (d *Decoder) AnyText(n *yaml.Node, at *Path, what string) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.AddAt(n, at, "", "%s must be a text, and is %s", what, Describe(n))
		return ""
	case n.Tag == "!!null":
		return ""
	}
	return n.Value
}

// Flag reads true or false.
func (d *Decoder) Flag(n *yaml.Node, at *Path, what string) bool {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		d.AddAt(n, at, "", "%s must be true or false, and is %s", what, Describe(n))
		return false
	}
	return strings.EqualFold(n.Value, "true")
}

// Integer reads a whole number within bounds. It returns fallback after reporting a mistake.
func (d *Decoder) Integer(n *yaml.Node, at *Path, what, hint string, lowest, highest, fallback int) int {
	i, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" || err != nil {
		d.AddAt(n, at, hint, "%s must be a whole number, and is %s", what, Describe(n))
		return fallback
	}
	if i < lowest || i > highest {
		d.AddAt(n, at, hint, "%s is %d", what, i)
		return fallback
	}
	return i
}

// Duration reads a duration greater than 0. It returns fallback after reporting a mistake.
func (d *Decoder) Duration(n *yaml.Node, at *Path, what string, fallback time.Duration) time.Duration {
	if n.Kind != yaml.ScalarNode {
		d.AddAt(n, at, duration.Hint, "%s must be a duration, and is %s", what, Describe(n))
		return fallback
	}
	length, err := duration.Parse(n.Value)
	switch {
	case err != nil:
		d.AddAt(n, at, duration.Hint, "%s: %v", what, err)
		return fallback
	case length <= 0:
		d.AddAt(n, at, duration.Hint, "%s must be more than 0", what)
		return fallback
	}
	return length
}

// Describe returns what a node contains, for a message.
func Describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "empty"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "the number " + n.Value
	}
	return "a text"
}

// Value converts a node to a value that JSON can represent, with numbers as json.Number.
func (d *Decoder) Value(n *yaml.Node, at *Path) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for _, p := range d.Mapping(n, at, "the mapping", nil) {
			out[p.Name] = d.Value(p.Value, at.Key(p.Name))
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			out[i] = d.Value(c, at.Item(i))
		}
		return out
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if number, ok := jsonNumber(n.Value); ok {
			return number
		}
		d.AddAt(n, at, "put it into quotes if it is a text", "%s cannot be written as a JSON number", n.Value)
		return nil
	}
	return n.Value
}

// Texts reads a list of texts or a single text.
func (d *Decoder) Texts(n *yaml.Node, at *Path, what string) []string {
	if n.Kind == yaml.ScalarNode {
		if s := d.Text(n, at, what); s != "" {
			return []string{s}
		}
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.AddAt(n, at, "", "%s must be a list, and is %s", what, Describe(n))
		return nil
	}
	out := make([]string, len(n.Content))
	for i, c := range n.Content {
		out[i] = d.Text(c, at.Item(i), "an entry of "+what)
	}
	return out
}

// Number reads a number. It returns the empty string after reporting a mistake.
func (d *Decoder) Number(n *yaml.Node, at *Path, what string) json.Number {
	if n.Kind == yaml.ScalarNode && (n.Tag == "!!int" || n.Tag == "!!float") {
		if number, ok := jsonNumber(n.Value); ok {
			return number
		}
	}
	d.AddAt(n, at, "", "%s must be a number, and is %s", what, Describe(n))
	return ""
}

// jsonNumber returns a number with its digits as written. Forms that only YAML has (0x1f, 1_000, +1, .5) are
// converted.
func jsonNumber(s string) (json.Number, bool) {
	if json.Valid([]byte(s)) {
		return json.Number(s), jsonvalue.Storable(s)
	}
	plain := strings.TrimPrefix(strings.ReplaceAll(s, "_", ""), "+")
	if i, ok := new(big.Int).SetString(plain, 0); ok {
		return json.Number(i.String()), true
	}
	f, err := strconv.ParseFloat(plain, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return "", false
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), true
}
