package definition

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

// pair is one entry of a mapping.
type pair struct {
	name  string
	key   *yaml.Node
	value *yaml.Node
}

// mapping returns the entries of a mapping in their order. If allowed is not nil, it reports other keys.
func (r *decoder) mapping(n *yaml.Node, at *keyPath, what string, allowed []string) []pair {
	if n.Kind != yaml.MappingNode {
		r.addAt(n, at, "", "%s must be a mapping, and is %s", what, describe(n))
		return nil
	}
	pairs := make([]pair, 0, len(n.Content)/2)
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null":
			r.addAt(key, at.key(key.Value), "", "a key must be a text, and is %s", describe(key))
		case seen[key.Value]:
			r.addAt(key, at.key(key.Value), "", "the key %q stands twice in %s", key.Value, what)
		case allowed != nil && !slices.Contains(allowed, key.Value):
			r.unknownKey(key, at, what, allowed, seen)
		case allowed != nil && value.Tag == "!!null":
			r.addAt(value, at.key(key.Value), "give it a value or leave the key out", "%s is empty", key.Value)
		default:
			pairs = append(pairs, pair{key.Value, key, value})
		}
		seen[key.Value] = true
	}
	return pairs
}

// unknownKey reports an unknown key. It also settles the key that was probably meant, so that it is not reported as
// missing.
func (r *decoder) unknownKey(key *yaml.Node, at *keyPath, what string, allowed []string, seen map[string]bool) {
	hint := r.suggest(key.Value, allowed)
	r.addAt(key, at.key(key.Value), hint, "%s has no key %q", what, key.Value)
	if meant := suggest.Nearest(key.Value, allowed); meant != "" && !seen[meant] {
		r.suppress(at.key(meant))
	}
}

// text reads a scalar that must be text. An unquoted date counts as text, because no setting is a time.
func (r *decoder) text(n *yaml.Node, at *keyPath, what string) string {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" && n.Tag != "!!timestamp" {
		hint := ""
		if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
			hint = "put it into quotes"
		}
		r.addAt(n, at, hint, "%s must be a text, and is %s", what, describe(n))
		return ""
	}
	if strings.TrimSpace(n.Value) == "" {
		r.addAt(n, at, "give it a value or leave the key out", "%s is empty", what)
		return ""
	}
	return n.Value
}

// anyText returns any scalar as it is written, so that 1.10 stays 1.10.
func (r *decoder) anyText(n *yaml.Node, at *keyPath, what string) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		r.addAt(n, at, "", "%s must be a text, and is %s", what, describe(n))
		return ""
	case n.Tag == "!!null":
		return ""
	}
	return n.Value
}

func (r *decoder) flag(n *yaml.Node, at *keyPath, what string) bool {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		r.addAt(n, at, "", "%s must be true or false, and is %s", what, describe(n))
		return false
	}
	return strings.EqualFold(n.Value, "true")
}

// integer reads a whole number within bounds. It returns fallback after reporting a mistake.
func (r *decoder) integer(n *yaml.Node, at *keyPath, what, hint string, lowest, highest, fallback int) int {
	i, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" || err != nil {
		r.addAt(n, at, hint, "%s must be a whole number, and is %s", what, describe(n))
		return fallback
	}
	if i < lowest || i > highest {
		r.addAt(n, at, hint, "%s is %d", what, i)
		return fallback
	}
	return i
}

// duration reads a duration greater than 0. It returns fallback after reporting a mistake.
func (r *decoder) duration(n *yaml.Node, at *keyPath, what string, fallback time.Duration) time.Duration {
	if n.Kind != yaml.ScalarNode {
		r.addAt(n, at, duration.Hint, "%s must be a duration, and is %s", what, describe(n))
		return fallback
	}
	d, err := duration.Parse(n.Value)
	switch {
	case err != nil:
		r.addAt(n, at, duration.Hint, "%s: %v", what, err)
		return fallback
	case d <= 0:
		r.addAt(n, at, duration.Hint, "%s must be more than 0", what)
		return fallback
	}
	return d
}

// describe returns what a node contains, for a message.
func describe(n *yaml.Node) string {
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

// value converts a node to a value that JSON can represent.
func (r *decoder) value(n *yaml.Node, at *keyPath) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for _, p := range r.mapping(n, at, "the mapping", nil) {
			out[p.name] = r.value(p.value, at.key(p.name))
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			out[i] = r.value(c, at.at(i))
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
		r.addAt(n, at, "put it into quotes if it is a text", "%s cannot be written as a JSON number", n.Value)
		return nil
	}
	return n.Value
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
