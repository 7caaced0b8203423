package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// A number is an int, a float64, or a json.Number that keeps the digits of a document. Whole numbers are exact. A
// result outside the range of 64 bits is an error.

var errRange = fmt.Errorf("whole numbers range from %d to %d", math.MinInt64, math.MaxInt64)

// calculable converts a number for calculation and comparison: to an int if it is whole, or to a float64 if no digit
// is lost. Any other json.Number is returned unchanged.
func calculable(v any) any {
	n, ok := v.(json.Number)
	if !ok {
		return v
	}
	s := string(n)
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return int(i)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || significant(s) != significant(strconv.FormatFloat(f, 'e', -1, 64)) {
		return n
	}
	return f
}

func isNumber(v any) bool {
	switch v.(type) {
	case int, float64, json.Number:
		return true
	}
	return false
}

// operand returns a number as an int or a float64, or an error if it has too many digits.
func operand(v any) (any, error) {
	switch c := calculable(v).(type) {
	case int, float64:
		return c, nil
	case json.Number:
		return nil, fmt.Errorf("%.40s has more digits than can be calculated with: %w", string(c), errRange)
	}
	return nil, fmt.Errorf("a number is needed, not %s", jsonvalue.Kind(v))
}

// float converts a number to a float64. It fails for a whole number that would be rounded.
func float(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case int:
		f := float64(v)
		if f >= math.MaxInt64 || int(f) != v {
			return 0, fmt.Errorf("%d is whole and has more than the 53 bits that a decimal number keeps", v)
		}
		return f, nil
	}
	return 0, fmt.Errorf("a number is needed, not %s", jsonvalue.Kind(v))
}

// calculate applies + - * / % ** to two numbers.
func calculate(operator string, a, b any) (any, error) {
	x, err := operand(a)
	if err != nil {
		return nil, err
	}
	y, err := operand(b)
	if err != nil {
		return nil, err
	}
	i, whole := x.(int)
	j, also := y.(int)
	if whole && also {
		r, done, err := integers(operator, i, j)
		if err != nil || done {
			return r, err
		}
	}
	f, err := float(x)
	if err != nil {
		return nil, err
	}
	g, err := float(y)
	if err != nil {
		return nil, err
	}
	return floats(operator, f, g)
}

func floats(operator string, f, g float64) (any, error) {
	var r float64
	switch operator {
	case "+":
		r = f + g
	case "-":
		r = f - g
	case "*":
		r = f * g
	case "/":
		if g == 0 {
			return nil, errors.New("division by zero")
		}
		r = f / g
	case "%":
		return nil, errors.New("% takes whole numbers")
	default:
		r = math.Pow(f, g)
	}
	if math.IsInf(r, 0) || math.IsNaN(r) {
		return nil, fmt.Errorf("%v %s %v is not a finite number", f, operator, g)
	}
	return r, nil
}

// integers calculates with whole numbers. done is false if the result is not whole.
func integers(operator string, i, j int) (r int, done bool, err error) {
	var overflow bool
	switch operator {
	case "+":
		r = i + j
		overflow = (r > i) != (j > 0) && j != 0
	case "-":
		r = i - j
		overflow = (r < i) != (j > 0) && j != 0
	case "*":
		r, overflow = multiply(i, j)
	case "/", "%":
		if j == 0 {
			return 0, false, errors.New("division by zero")
		}
		if operator == "%" {
			if j == -1 {
				return 0, true, nil
			}
			return i % j, true, nil
		}
		if overflow = i == math.MinInt && j == -1; !overflow {
			if i%j != 0 {
				return 0, false, nil
			}
			r = i / j
		}
	default:
		if j < 0 {
			return 0, false, nil
		}
		r, overflow = power(i, j)
	}
	if overflow {
		return 0, false, fmt.Errorf("%d %s %d is out of range: %w", i, operator, j, errRange)
	}
	return r, true, nil
}

func multiply(i, j int) (r int, overflow bool) {
	high, low := bits.Mul64(magnitude(i), magnitude(j))
	limit := uint64(math.MaxInt64)
	if (i < 0) != (j < 0) {
		limit++
	}
	return i * j, high != 0 || low > limit
}

func magnitude(i int) uint64 {
	if i < 0 {
		return -uint64(i)
	}
	return uint64(i)
}

func power(base, exponent int) (r int, overflow bool) {
	if base >= -1 && base <= 1 {
		if base == -1 && exponent%2 == 0 {
			return 1, false
		}
		if exponent == 0 {
			return 1, false
		}
		return base, false
	}
	r = 1
	for ; exponent > 0; exponent-- {
		if r, overflow = multiply(r, base); overflow {
			return 0, true
		}
	}
	return r, false
}

func negate(v any) (any, error) {
	n, err := operand(v)
	if err != nil {
		return nil, err
	}
	if f, ok := n.(float64); ok {
		return -f, nil
	}
	return calculate("-", 0, n)
}

// compareNumbers compares two numbers without rounding.
func compareNumbers(a, b any) int {
	a, b = calculable(a), calculable(b)
	switch x := a.(type) {
	case int:
		switch y := b.(type) {
		case int:
			return order(x < y, x > y)
		case float64:
			return compareMixed(x, y)
		}
	case float64:
		switch y := b.(type) {
		case int:
			return -compareMixed(y, x)
		case float64:
			return order(x < y, x > y)
		}
	}
	return rational(a).Cmp(rational(b))
}

func compareMixed(i int, f float64) int {
	whole, err := truncate(f)
	switch {
	case err != nil:
		return order(f > 0, f < 0)
	case i != whole:
		return order(i < whole, i > whole)
	}
	fraction := f - math.Trunc(f)
	return order(fraction > 0, fraction < 0)
}

func order(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

// rational returns the exact value of a number. JSON numbers have been checked to have at most a thousand digits, and
// floats are finite.
func rational(v any) *big.Rat {
	r := new(big.Rat)
	switch v := v.(type) {
	case int:
		r.SetInt64(int64(v))
	case float64:
		r.SetFloat64(v)
	case json.Number:
		if jsonvalue.Storable(string(v)) {
			r.SetString(string(v))
		}
	}
	return r
}

// whole returns a number as an int. It fails if the number is not whole or out of range.
func whole(v any) (int, error) {
	switch n := calculable(v).(type) {
	case int:
		return n, nil
	case float64:
		if n == math.Trunc(n) {
			return truncate(n)
		}
		return 0, fmt.Errorf("a whole number is needed, not %v", n)
	case json.Number:
		return 0, fmt.Errorf("%.40s is out of range: %w", string(n), errRange)
	}
	return 0, fmt.Errorf("a whole number is needed, not %s", jsonvalue.Kind(v))
}

func truncate(f float64) (int, error) {
	if f = math.Trunc(f); f < math.MinInt64 || f >= math.MaxInt64 {
		return 0, fmt.Errorf("%v is out of range: %w", f, errRange)
	}
	return int(f), nil
}

// significant returns a number's digits without sign, point, exponent, and leading and trailing zeros.
func significant(s string) string {
	digits, _, _ := strings.Cut(strings.ToLower(s), "e")
	return strings.Trim(strings.Replace(strings.TrimPrefix(digits, "-"), ".", "", 1), "0")
}
