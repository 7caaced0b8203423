package dbtype

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// Canonical returns the document in a form that does not depend on the database that stored it. It has no white
// space. Keys are sorted by their bytes, and of repeated keys the last one is kept. Numbers are plain decimals
// without needless zeros. Strings escape only what they must. Without a document it returns nil.
func (j JSON) Canonical() (JSON, error) {
	if len(j) == 0 {
		return nil, nil
	}
	dec := jsonvalue.NewDecoder(j)
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read JSON: more than one document")
	}
	return appendCanonical(make([]byte, 0, len(j)), v), nil
}

func appendCanonical(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case json.Number:
		return append(b, plainNumber(v.String())...)
	case string:
		return AppendString(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCanonical(b, e)
		}
		return append(b, ']')
	}
	m, _ := v.(map[string]any) // no other type is left
	b = append(b, '{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(AppendString(b, k), ':')
		b = appendCanonical(b, m[k])
	}
	return append(b, '}')
}

// maxZeros bounds the exponents that are written out. sluice stores no numbers beyond it.
const maxZeros = 2000

// plainNumber writes a JSON number as a plain decimal: 1.50e1 is 15.0, -0 is 0.
func plainNumber(s string) string {
	digits, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	e := 0
	if exponent != "" {
		var err error
		if e, err = strconv.Atoi(exponent); err != nil || e > maxZeros || e < -maxZeros {
			return s
		}
	}
	negative := strings.HasPrefix(digits, "-")
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(digits, "-"), ".")
	point := len(whole) + e
	all := whole + fraction
	switch {
	case point <= 0:
		whole, fraction = "0", strings.Repeat("0", -point)+all
	case point >= len(all):
		whole, fraction = all+strings.Repeat("0", point-len(all)), ""
	default:
		whole, fraction = all[:point], all[point:]
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if negative && strings.Trim(all, "0") != "" {
		whole = "-" + whole
	}
	if fraction != "" {
		return whole + "." + fraction
	}
	return whole
}

// AppendString appends a JSON string in canonical form: quotes, backslashes and control characters are escaped,
// nothing else is.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch short := strings.IndexByte("\b\t\n\f\r", c); {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case short >= 0:
			b = append(b, '\\', "btnfr"[short])
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n - 1
		}
		i++
	}
	return append(b, '"')
}
