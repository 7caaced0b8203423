package tasks

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
	"github.com/sluiceworks/sluice/platform/suggest"
)

// inputField is one key that a struct accepts.
type inputField struct {
	name     string
	typ      reflect.Type
	required bool
}

// inputFields returns the keys of a struct, named as by encoding/json. Keys of embedded structs are included.
func inputFields(t reflect.Type) []inputField {
	var fields []inputField
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := pointee(f.Type)
		switch {
		case f.Tag.Get("json") == "-":
		case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
			fields = append(fields, inputFields(embedded)...)
		case f.IsExported():
			if name == "" {
				name = f.Name
			}
			fields = append(fields, inputField{name: name, typ: f.Type, required: f.Tag.Get("sluice") == "required"})
		}
	}
	return fields
}

func pointee(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// checkKeys returns an error for each key that t does not have and for each required key that is missing, at any depth.
// encoding/json is not enough: it ignores the case of keys, does not report missing ones, and provides no hints.
// decodeFields checks the types of the values.
func checkKeys(t reflect.Type, path string, v any) FieldErrors {
	t = pointee(t)
	if hasDecoder(t) {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		return checkObject(t, path, v)
	case []any:
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return nil
		}
		var wrong FieldErrors
		for i, e := range v {
			wrong = append(wrong, checkKeys(t.Elem(), fmt.Sprintf("%s[%d]", path, i), e)...)
		}
		return wrong
	}
	return nil
}

func checkObject(t reflect.Type, path string, object map[string]any) FieldErrors {
	var fields []inputField
	switch t.Kind() {
	case reflect.Map:
	case reflect.Struct:
		fields = inputFields(t)
	default:
		return nil
	}
	var wrong FieldErrors
	for _, key := range slices.Sorted(maps.Keys(object)) {
		inner, unknown := elemType(t, fields, path, key)
		if unknown != nil {
			wrong = append(wrong, unknown)
			continue
		}
		wrong = append(wrong, checkKeys(inner, join(path, key), object[key])...)
	}
	return append(wrong, missing(fields, path, object, wrong)...)
}

// missing returns an error for each required key that is absent. It skips a key if the hint of an unknown key already
// names it.
func missing(fields []inputField, path string, object map[string]any, unknown FieldErrors) FieldErrors {
	var wrong FieldErrors
	for _, f := range fields {
		meant := func(e *FieldError) bool { return e.Hint == suggest.DidYouMean(f.name) }
		if f.required && object[f.name] == nil && !slices.ContainsFunc(unknown, meant) {
			wrong = append(wrong, &FieldError{Field: join(path, f.name), Msg: "is missing", Hint: "it is required"})
		}
	}
	return wrong
}

func elemType(t reflect.Type, fields []inputField, path, key string) (reflect.Type, *FieldError) {
	if t.Kind() == reflect.Map {
		return t.Elem(), nil
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		if f.name == key {
			return f.typ, nil
		}
		names[i] = f.name
	}
	return nil, &FieldError{Field: join(path, key), Msg: "unknown key", Hint: hintForKey(key, names)}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func hasDecoder(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(jsonUnmarshaler) || p.Implements(textUnmarshaler)
}

// withoutExpressions returns fields without the values that are expressions, because an expression may evaluate to any
// type.
func withoutExpressions(fields map[string]any) map[string]any {
	out := make(map[string]any, len(fields))
	for k, v := range fields {
		if !isExpression(v) {
			out[k] = dropExpressions(v)
		}
	}
	return out
}

func isExpression(v any) bool {
	s, ok := v.(string)
	return ok && strings.Contains(s, "${{")
}

// dropExpressions returns v without its expressions. In a list, an expression becomes null, which every type accepts.
func dropExpressions(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return withoutExpressions(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			if !isExpression(e) {
				out[i] = dropExpressions(e)
			}
		}
		return out
	}
	return v
}

// decodeFields decodes fields into the value that in points to, except the keys that wrong names. If this fails, it
// decodes each key separately to find the wrong ones, because a type with its own decoder returns an error without the
// key.
func decodeFields(fields map[string]any, in any, wrong FieldErrors) error {
	if len(wrong) > 0 {
		fields = maps.Clone(fields)
		for _, w := range wrong {
			delete(fields, w.root())
		}
	}
	err := decodeStrict(fields, in)
	if err == nil {
		return JoinFields(wrong)
	}
	var mistyped FieldErrors
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		probe := reflect.New(reflect.TypeOf(in).Elem()).Interface()
		if err := decodeStrict(map[string]any{key: fields[key]}, probe); err != nil {
			mistyped = append(mistyped, fieldError(key, err))
		}
	}
	if len(mistyped) == 0 {
		mistyped = FieldErrors{fieldError("", err)}
	}
	return JoinFields(wrong, mistyped)
}

func decodeStrict(fields map[string]any, in any) error {
	raw, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	dec := jsonvalue.NewDecoder(raw)
	dec.DisallowUnknownFields()
	return dec.Decode(in)
}

func fieldError(key string, err error) *FieldError {
	var mistyped *json.UnmarshalTypeError
	if !errors.As(err, &mistyped) {
		return &FieldError{Field: key, Msg: err.Error()}
	}
	if strings.HasPrefix(mistyped.Field, key+".") {
		key = mistyped.Field
	}
	return &FieldError{Field: key, Msg: "is " + describeValue(mistyped.Value) + ", expected " + typeName(mistyped.Type)}
}
