package http

import (
	"encoding/json"
	"errors"
	"fmt"
	nethttp "net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/handlers/web"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// with is the task's `with`.
type with struct {
	URL          string            `json:"url" sluice:"required"`
	Method       string            `json:"method"` // GET, or POST if there is a body
	Headers      map[string]scalar `json:"headers"`
	Body         json.RawMessage   `json:"body"`          // a string is sent as it is, anything else as JSON
	Timeout      string            `json:"timeout"`       // of the whole exchange, such as 30s; empty: none
	ExpectStatus []int             `json:"expect_status"` // 200 to 299 if empty
	SaveAs       string            `json:"save_as"`       // a path, absolute or relative to the run's directory
	MaxBytes     int64             `json:"max_bytes"`     // of the body; else DefaultMaxSaved or tasks.MaxOutput
}

// scalar is a string, or the text of a number or boolean, because an expression's value keeps its type.
type scalar string

func (s *scalar) UnmarshalJSON(raw []byte) error {
	switch raw[0] {
	case '"':
		return json.Unmarshal(raw, (*string)(s))
	case '{', '[':
		return errors.New("is neither text nor a number")
	case 'n':
		return nil
	}
	*s = scalar(raw)
	return nil
}

// checks validate one field each, in this order. The error describes the fault of the field.
var checks = []struct {
	field string
	check func(w *with) error
}{
	{"url", func(w *with) error { _, err := web.ParseURL(w.URL); return err }},
	{"method", func(w *with) error { return checkToken(w.Method) }},
	{"headers", func(w *with) error { return checkHeaders(w.Headers) }},
	{"timeout", func(w *with) error { _, err := parseTimeout(w.Timeout); return err }},
	{"expect_status", func(w *with) error { return checkStatuses(w.ExpectStatus) }},
	{"save_as", func(w *with) error { return checkPath(w.SaveAs) }},
	{"max_bytes", func(w *with) error { return checkMaxBytes(w.MaxBytes) }},
}

// check returns every mistake in the fields for which has returns true.
func (w *with) check(has func(field string) bool) error {
	var wrong []error
	for _, c := range checks {
		if !has(c.field) {
			continue
		}
		if err := c.check(w); err != nil {
			wrong = append(wrong, &tasks.FieldError{Field: c.field, Msg: err.Error()})
		}
	}
	return tasks.JoinFields(wrong...)
}

// checkSettled validates the fields that contain no expression. It skips a field of a wrong type, because the typed
// handler reports that one.
func checkSettled(fields map[string]any) error {
	var w with
	settled := map[string]bool{}
	for _, c := range checks {
		value, ok := fields[c.field]
		if !ok || value == nil {
			continue
		}
		raw, err := json.Marshal(map[string]any{c.field: value})
		if err == nil && !strings.Contains(string(raw), "${{") && json.Unmarshal(raw, &w) == nil {
			settled[c.field] = true
		}
	}
	return w.check(func(field string) bool { return settled[field] })
}

// checkToken checks that s contains only the characters of an HTTP token, as methods and header names are.
func checkToken(s string) error {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return fmt.Errorf("%q may not hold %q", s, c)
		}
	}
	return nil
}

func checkHeaders(headers map[string]scalar) error {
	for name, value := range headers {
		if name == "" {
			return errors.New("a header has no name")
		}
		if err := checkToken(name); err != nil {
			return err
		}
		if strings.ContainsFunc(string(value), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return fmt.Errorf("the value of %q holds a control character", name)
		}
		switch nethttp.CanonicalHeaderKey(name) {
		case "Content-Length", "Transfer-Encoding", "Connection", "Trailer":
			return fmt.Errorf("%q follows from the request and cannot be set", name)
		}
	}
	return nil
}

func parseTimeout(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("invalid duration %q: expected more than 0, such as 30s or 1m30s", s)
	}
	return d, nil
}

func checkStatuses(statuses []int) error {
	for _, s := range statuses {
		if s < 200 || s > 599 {
			return fmt.Errorf("%d is not a status from 200 to 599", s)
		}
	}
	return nil
}

func checkPath(path string) error {
	if path == "" {
		return nil
	}
	local := filepath.IsLocal(path) || filepath.IsAbs(path) && filepath.Clean(path) != "/"
	if !local || filepath.Clean(path) == "." || strings.HasSuffix(path, "/") || strings.ContainsRune(path, 0) {
		return fmt.Errorf("%q is not the path of a file below the run's directory, and not absolute", path)
	}
	return nil
}

func checkMaxBytes(n int64) error {
	const most = 1 << 50
	if n < 0 || n > most {
		return fmt.Errorf("invalid size %d: must be from 0 to %d", n, int64(most))
	}
	return nil
}
