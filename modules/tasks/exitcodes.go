package tasks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// maxExitCode is the highest exit code of a process.
const maxExitCode = 255

// ExitCodes is a set of exit codes of commands. Its JSON is a list of numbers and of ranges such as "64-78".
type ExitCodes []ExitCodeRange

// ExitCodeRange is the range of exit codes from From to To, both included.
type ExitCodeRange struct{ From, To int }

// Contains reports whether code is in the set.
func (c ExitCodes) Contains(code int) bool {
	for _, r := range c {
		if code >= r.From && code <= r.To {
			return true
		}
	}
	return false
}

// ParseExitCodeRange parses one exit code, or two joined by a hyphen. It returns an error for text that is not a
// number, for codes outside 1 to 255, and for a range that ends before it begins. Code 0 is success and therefore never
// in a range.
func ParseExitCodeRange(s string) (ExitCodeRange, error) {
	first, last, several := strings.Cut(s, "-")
	if !several {
		last = first
	}
	from, err := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	if err != nil {
		return ExitCodeRange{}, fmt.Errorf("%q is not an exit code or a range of them", s)
	}
	to, err := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	switch {
	case err != nil:
		return ExitCodeRange{}, fmt.Errorf("%q is not an exit code or a range of them", s)
	case from < 1 || to > maxExitCode:
		return ExitCodeRange{}, fmt.Errorf("exit code %s is out of range", s)
	case from > to:
		return ExitCodeRange{}, fmt.Errorf("the range %s ends before it begins", s)
	}
	return ExitCodeRange{int(from), int(to)}, nil
}

// String returns the range in the form that ParseExitCodeRange accepts.
func (r ExitCodeRange) String() string {
	if r.From == r.To {
		return strconv.Itoa(r.From)
	}
	return fmt.Sprintf("%d-%d", r.From, r.To)
}

// MarshalJSON returns a number for a single code and a string for a range.
func (r ExitCodeRange) MarshalJSON() ([]byte, error) {
	if r.From == r.To {
		return json.Marshal(r.From)
	}
	return json.Marshal(r.String())
}

// UnmarshalJSON parses a number or a string, as ParseExitCodeRange does.
func (r *ExitCodeRange) UnmarshalJSON(doc []byte) error {
	text := string(doc)
	if len(doc) > 0 && doc[0] == '"' {
		if err := json.Unmarshal(doc, &text); err != nil {
			return err
		}
	}
	parsed, err := ParseExitCodeRange(text)
	*r = parsed
	return err
}
