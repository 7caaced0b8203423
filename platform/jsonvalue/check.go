package jsonvalue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a value.
const (
	MaxDepth  = 100  // levels of nested arrays and objects
	MaxDigits = 1000 // digits of a number, and its power of ten; databases expand larger ones, or refuse them
)

// Check returns an error unless raw is one JSON value that both databases can store. It must have at most
// maxBytes bytes, be valid UTF-8 and JSON, and be nested at most 100 levels deep. It must not contain \u0000, half a
// surrogate pair or a number beyond 10^±1000. The error begins with the line, the column and the key path of the
// mistake. Duplicate keys are allowed, and the last one counts; see CheckUnique.
func Check(raw []byte, maxBytes int) error {
	if len(raw) > maxBytes {
		return fmt.Errorf("%d bytes are more than the limit of %d", len(raw), maxBytes)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return errors.New("there is no JSON: it is empty")
	}
	if at := InvalidUTF8(raw); at >= 0 {
		return fmt.Errorf("%s: byte %d is not valid UTF-8", position(raw, at), at+1)
	}
	if err := checkNesting(raw); err != nil {
		return err
	}
	if !json.Valid(raw) {
		return fmt.Errorf("it is not JSON: %w", syntaxError(raw))
	}
	return checkScalars(raw)
}

// InvalidUTF8 returns the offset of the first byte that is not valid UTF-8, or -1.
func InvalidUTF8(raw []byte) int {
	if utf8.Valid(raw) {
		return -1
	}
	for i := 0; i < len(raw); {
		c, n := utf8.DecodeRune(raw[i:])
		if c == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// checkNesting limits the nesting without recursion. It must be called before anything that recurses.
func checkNesting(raw []byte) error {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			i += stringEnd(raw[i:])
		case '{', '[':
			if depth++; depth > MaxDepth {
				return fmt.Errorf("%s: it is nested deeper than %d", position(raw[:i], i), MaxDepth)
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// stringEnd returns the offset of the quote that closes the string at the start of raw, or of the last byte.
func stringEnd(raw []byte) int {
	for i := 1; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(raw) - 1
}

// checkScalars checks the strings and numbers of valid JSON.
func checkScalars(raw []byte) error {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			end := i + stringEnd(raw[i:])
			if at, err := checkString(raw[i+1 : end]); err != nil {
				return fmt.Errorf("%s: %w", position(raw, i+1+at), err)
			}
			i = end
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(raw) && bytes.IndexByte([]byte("0123456789.eE+-"), raw[end]) >= 0 {
				end++
			}
			if number := string(raw[i:end]); !Storable(number) {
				return fmt.Errorf("%s: the number %.40s is out of range: put it into quotes to keep it as a text",
					position(raw, i), number)
			}
			i = end - 1
		}
	}
	return nil
}

// checkString returns an error for an escape in the inside of a string that cannot be stored, and the escape's
// offset.
func checkString(s []byte) (at int, err error) {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		at = i
		if i++; s[i] != 'u' {
			continue
		}
		code := escapeCode(s[i+1:])
		i += 4
		switch {
		case code == 0:
			return at, errors.New(`a string holds \u0000, which no database keeps`)
		case code >= 0xd800 && code < 0xdc00 && bytes.HasPrefix(s[i+1:], []byte(`\u`)) &&
			isLowSurrogate(escapeCode(s[i+3:])):
			i += 6
		case code >= 0xd800 && code < 0xe000:
			return at, fmt.Errorf(`a string holds \u%04x, which is half a character`, code)
		}
	}
	return 0, nil
}

func isLowSurrogate(code uint64) bool { return code >= 0xdc00 && code < 0xe000 }

func escapeCode(s []byte) uint64 {
	code, _ := strconv.ParseUint(string(s[:min(4, len(s))]), 16, 32) // valid JSON has four hex digits here
	return code
}

// Storable reports whether a database stores a number, as JSON writes it, without expanding it to more than MaxDigits
// digits.
func Storable(s string) bool {
	digits, exponent, found := strings.Cut(strings.ToLower(s), "e")
	if len(digits) > MaxDigits {
		return false
	}
	if !found {
		return true
	}
	e, err := strconv.Atoi(exponent)
	return err == nil && -MaxDigits <= e && e <= MaxDigits
}
