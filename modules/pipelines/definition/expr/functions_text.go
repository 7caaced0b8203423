package expr

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/url"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

var textFunctions = []function{
	{name: "trim", minArgs: 1, maxArgs: 2, plain: trim},
	{name: "trimPrefix", minArgs: 2, maxArgs: 2, plain: ofTwoTexts(strings.TrimPrefix)},
	{name: "trimSuffix", minArgs: 2, maxArgs: 2, plain: ofTwoTexts(strings.TrimSuffix)},
	{name: "hasPrefix", minArgs: 2, maxArgs: 2, plain: ofTwoTexts(strings.HasPrefix)},
	{name: "hasSuffix", minArgs: 2, maxArgs: 2, plain: ofTwoTexts(strings.HasSuffix)},
	{
		name: "indexOf", minArgs: 2, maxArgs: 2,
		plain: ofTwoTexts(func(s, t string) any { return inCharacters(s, strings.Index(s, t)) }),
	},
	{
		name: "lastIndexOf", minArgs: 2, maxArgs: 2,
		plain: ofTwoTexts(func(s, t string) any { return inCharacters(s, strings.LastIndex(s, t)) }),
	},
	{
		name: "upper", minArgs: 1, maxArgs: 1,
		plain: ofText(3, func(s string) (any, error) { return strings.ToUpper(s), nil }),
	},
	{
		name: "lower", minArgs: 1, maxArgs: 1,
		plain: ofText(3, func(s string) (any, error) { return strings.ToLower(s), nil }),
	},
	{
		name: "toBase64", minArgs: 1, maxArgs: 1,
		plain: ofText(2, func(s string) (any, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
	},
	{name: "fromBase64", minArgs: 1, maxArgs: 1, plain: ofText(2, fromBase64)},
	{name: "split", minArgs: 2, maxArgs: 3, plain: splitting(strings.SplitN)},
	{name: "splitAfter", minArgs: 2, maxArgs: 3, plain: splitting(strings.SplitAfterN)},
	{name: "replace", minArgs: 3, maxArgs: 4, plain: replace},
	{name: "repeat", minArgs: 2, maxArgs: 2, plain: repeat},
	{name: "join", minArgs: 1, maxArgs: 2, plain: join},
	{
		name: "urlencode", minArgs: 1, maxArgs: 1, plain: urlencode,
		types: []reflect.Type{reflect.TypeFor[func(any) string]()},
	},
	{name: "urlraw", minArgs: 1, maxArgs: 1, plain: urlraw, types: []reflect.Type{reflect.TypeFor[func(any) string]()}},
	{
		name: "string", minArgs: 1, maxArgs: 1,
		plain: func(m *meter, args []any) (any, error) { return textOf(m, args[0]) },
	},
	{name: "toJSON", minArgs: 1, maxArgs: 1, plain: func(m *meter, args []any) (any, error) {
		b, err := m.json(args[0])
		return string(b), err
	}},
	{name: "fromJSON", minArgs: 1, maxArgs: 1, plain: fromJSON},
}

// ofText returns a function of one string. Its result is at most growth times as long as the string.
func ofText(growth int, f func(string) (any, error)) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		s, err := textAt(args, 0)
		if err == nil {
			err = m.text(growth * len(s))
		}
		if err != nil {
			return nil, err
		}
		return f(s)
	}
}

// ofTwoTexts returns a function of two strings that allocates nothing.
func ofTwoTexts[T any](f func(s, t string) T) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		s, err := textAt(args, 0)
		if err != nil {
			return nil, err
		}
		t, err := textAt(args, 1)
		if err == nil {
			err = m.scan(len(s) + len(t))
		}
		if err != nil {
			return nil, err
		}
		return f(s, t), nil
	}
}

// inCharacters converts an offset in bytes to one in characters. A negative offset is unchanged.
func inCharacters(s string, at int) int {
	if at < 0 {
		return at
	}
	return utf8.RuneCountInString(s[:at])
}

func trim(m *meter, args []any) (any, error) {
	s, err := textAt(args, 0)
	if err == nil {
		err = m.step(int64(len(s))>>2 + 1)
	}
	if err != nil || len(args) == 1 {
		return strings.TrimSpace(s), err
	}
	cut, err := textAt(args, 1)
	if err == nil {
		err = m.alloc(int64(len(cut)) * 16)
	}
	if err != nil {
		return nil, err
	}
	set := map[rune]bool{}
	for _, c := range cut {
		set[c] = true
	}
	return strings.TrimFunc(s, func(c rune) bool { return set[c] }), nil
}

func fromBase64(s string) (any, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, wrongArgument("%v", err)
	}
	if !utf8.Valid(b) {
		return nil, wrongArgument("the result is not valid UTF-8")
	}
	return string(b), nil
}

func splitting(f func(s, separator string, n int) []string) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		s, err := textAt(args, 0)
		if err != nil {
			return nil, err
		}
		separator, err := textAt(args, 1)
		if err != nil {
			return nil, err
		}
		n := -1
		if len(args) == 3 {
			if n, err = whole(args[2]); err != nil {
				return nil, err
			}
		}
		if err := m.scan(len(s)); err != nil {
			return nil, err
		}
		pieces := strings.Count(s, separator) + 1
		if n >= 0 {
			pieces = min(pieces, n)
		}
		if err := m.alloc(times(pieces, 48)); err != nil {
			return nil, err
		}
		out := make([]any, 0, pieces)
		for _, piece := range f(s, separator, n) {
			out = append(out, piece)
		}
		return out, nil
	}
}

func replace(m *meter, args []any) (any, error) {
	var t [3]string
	for i := range t {
		var err error
		if t[i], err = textAt(args, i); err != nil {
			return nil, err
		}
	}
	n := -1
	if len(args) == 4 {
		var err error
		if n, err = whole(args[3]); err != nil {
			return nil, err
		}
	}
	if err := m.scan(len(t[0])); err != nil {
		return nil, err
	}
	found := strings.Count(t[0], t[1])
	if n >= 0 {
		found = min(found, n)
	}
	if err := m.alloc(times(found, len(t[2]))); err != nil {
		return nil, err
	}
	if err := m.text(len(t[0])); err != nil {
		return nil, err
	}
	if err := m.step(int64(found)); err != nil {
		return nil, err
	}
	return strings.Replace(t[0], t[1], t[2], n), nil
}

func repeat(m *meter, args []any) (any, error) {
	s, err := textAt(args, 0)
	if err != nil {
		return nil, err
	}
	n, err := quantity(args[1], "repetitions")
	if err != nil {
		return nil, err
	}
	if err := m.alloc(times(len(s), n)); err != nil {
		return nil, err
	}
	if s == "" {
		return s, nil
	}
	return strings.Repeat(s, n), nil
}

func join(m *meter, args []any) (any, error) {
	list, err := listAt(args, 0)
	if err != nil {
		return nil, err
	}
	separator := ""
	if len(args) == 2 {
		if separator, err = textAt(args, 1); err != nil {
			return nil, err
		}
	}
	if err := m.alloc(times(max(len(list)-1, 0), len(separator))); err != nil {
		return nil, err
	}
	if err := m.list(len(list)); err != nil {
		return nil, err
	}
	pieces := make([]string, len(list))
	for i, v := range list {
		if pieces[i], err = textOf(m, v); err != nil {
			return nil, err
		}
		if err := m.text(len(pieces[i])); err != nil {
			return nil, err
		}
	}
	return strings.Join(pieces, separator), nil
}

// textOf returns a value as text: a string as it is, another value as JSON. Null is an error.
func textOf(m *meter, v any) (string, error) {
	if v == nil {
		return "", wrongArgument("null is not a text: write ?? for what is to stand there instead")
	}
	return m.render(v)
}

// urlencode encodes a value so that it is literal in the path or the query of a URL.
func urlencode(m *meter, args []any) (any, error) {
	switch args[0].(type) {
	case string, bool, int, float64, json.Number:
	default:
		return nil, wrongArgument("it takes a string, a number or a boolean, not %s", jsonvalue.Kind(args[0]))
	}
	s, err := m.render(args[0])
	if err == nil {
		err = m.text(6 * len(s))
	}
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), err
}

// urlraw returns a string that is inserted into a `url` without encoding, because it is already encoded or consists
// of several parts of the URL.
func urlraw(_ *meter, args []any) (any, error) { return textAt(args, 0) }

func fromJSON(m *meter, args []any) (any, error) {
	s, err := textAt(args, 0)
	if err == nil {
		err = m.text(len(s))
	}
	if err != nil {
		return nil, err
	}
	if err := jsonvalue.Check([]byte(s), math.MaxInt); err != nil {
		return nil, wrongArgument("%v", err)
	}
	return m.decode([]byte(s))
}
