package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// MaxInput is the maximum size of a run's input in bytes.
const MaxInput = 1 << 20

// The types of input fields.
const (
	TypeString  = "string"
	TypeInteger = "integer" // a whole number of 64 bits, written without fraction and exponent
	TypeNumber  = "number"
	TypeBoolean = "boolean"
	TypeObject  = "object"
	TypeArray   = "array"
	TypeAny     = "any" // any value, including null
)

var fieldTypes = []string{TypeString, TypeInteger, TypeNumber, TypeBoolean, TypeObject, TypeArray, TypeAny}

// CheckInput validates a run's input against the declared fields, sets the defaults, and returns canonical JSON with
// the fields in the order of declaration. An empty raw counts as {}. A field that is null counts as missing, unless
// its type is any. A definition that declares no input accepts any object. Duplicate keys in an object are a mistake.
// The error is of type Diagnostics, or describes why raw is not valid JSON.
func (d *Definition) CheckInput(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	if err := jsonvalue.Check(raw, MaxInput); err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	if err := jsonvalue.CheckUnique(raw); err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	v, err := jsonvalue.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	given, ok := v.(map[string]any)
	if !ok {
		return nil, Diagnostics{{Path: "input", Message: "it is " + jsonvalue.Kind(v) + ", and must be an object"}}
	}
	if len(d.Input) == 0 {
		return jsonvalue.Encode(given)
	}
	r := &yamlfile.Decoder{}
	checked := d.checkGiven(r, given)
	if err := failure("", r); err != nil {
		return nil, err
	}
	if len(checked) > MaxInput {
		return nil, fmt.Errorf("input: with its defaults it has %d bytes, more than the limit of %d", len(checked),
			MaxInput)
	}
	return checked, nil
}

// checkGiven returns the checked input. It writes the object field by field, because a Go map would lose the order.
func (d *Definition) checkGiven(r *yamlfile.Decoder, given map[string]any) json.RawMessage {
	top := yamlfile.Key("input")
	var out bytes.Buffer
	write := func(name string, value []byte) {
		if out.Len() > 0 {
			out.WriteByte(',')
		}
		out.Write(jsonvalue.MustEncode(name))
		out.WriteByte(':')
		out.Write(value)
	}
	declared := make([]string, len(d.Input))
	for i := range d.Input {
		f := &d.Input[i]
		declared[i] = f.Name
		v, present := given[f.Name]
		delete(given, f.Name)
		if v == nil && f.Type != TypeAny {
			present = false
		}
		switch {
		case present:
			if hint, ok := matches(f.Type, v); !ok {
				r.Add(top.Key(f.Name), hint, "it is %s, and must be of type %s", jsonvalue.Kind(v), f.Type)
			} else if wrong := f.violated(v); wrong != "" {
				r.Add(top.Key(f.Name), f.Description, "%s", wrong)
			} else {
				write(f.Name, jsonvalue.MustEncode(v))
			}
		case f.Required:
			r.Add(top.Key(f.Name), f.Description, "it is required and missing")
		case f.Default != nil:
			write(f.Name, f.Default)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		r.Add(top.Key(name), r.Suggest(name, declared), "unknown field")
	}
	return json.RawMessage("{" + out.String() + "}")
}

// matches reports whether a decoded value is of the type, and returns a hint for common mistakes.
func matches(typ string, v any) (hint string, ok bool) {
	switch v := v.(type) {
	case string:
		return unquoted(typ, v), is(typ, TypeString)
	case bool:
		return "", is(typ, TypeBoolean)
	case json.Number:
		if typ == TypeInteger {
			_, err := strconv.ParseInt(string(v), 10, 64)
			return "a whole number of 64 bits, without fraction and exponent", err == nil
		}
		if typ == TypeString {
			hint = "put it into quotes"
		}
		return hint, is(typ, TypeNumber)
	case []any:
		return "", is(typ, TypeArray)
	case map[string]any:
		return "", is(typ, TypeObject)
	}
	return "", is(typ, TypeAny)
}

// unquoted returns a hint for a text that would be of the type without its quotes.
func unquoted(typ, text string) string {
	if typ == TypeString || typ == TypeAny || len(text) > jsonvalue.MaxDigits || !json.Valid([]byte(text)) {
		return ""
	}
	v, err := jsonvalue.Decode([]byte(text))
	if _, isText := v.(string); err != nil || isText {
		return ""
	}
	if _, ok := matches(typ, v); !ok {
		return ""
	}
	return "write it without quotes"
}

func is(typ, of string) bool { return typ == of || typ == TypeAny }
