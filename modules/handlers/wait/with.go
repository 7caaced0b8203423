package wait

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sluiceworks/sluice/modules/handlers/web"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/duration"
)

// The types of this file validate themselves in UnmarshalJSON, so that mistakes are found when the definition is
// registered.

// span is a duration in the notation of pipelines.
type span time.Duration

func (s *span) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Errorf("is %s, expected a duration such as 30s, 1h30m or 2d", raw)
	}
	d, err := duration.Parse(text)
	if err != nil {
		return fmt.Errorf("%w: expected one such as 30s, 1h30m or 2d", err)
	}
	*s = span(d)
	return nil
}

// interval is a span between two polls.
type interval span

// shortest is the least interval. It bounds what a waiting task writes to its history, because each poll writes four
// events.
const shortest = 100 * time.Millisecond

func (i *interval) UnmarshalJSON(raw []byte) error {
	var s span
	if err := s.UnmarshalJSON(raw); err != nil {
		return err
	}
	if time.Duration(s) < shortest {
		return fmt.Errorf("is shorter than %s", shortest)
	}
	*i = interval(s)
	return nil
}

// limit is a span greater than 0.
type limit span

func (l *limit) UnmarshalJSON(raw []byte) error {
	var s span
	if err := s.UnmarshalJSON(raw); err != nil {
		return err
	}
	if s == 0 {
		return errors.New("must be more than 0")
	}
	*l = limit(s)
	return nil
}

// instant is a point in time with its zone.
type instant time.Time

func (i *instant) UnmarshalJSON(raw []byte) error {
	var text string
	err := json.Unmarshal(raw, &text)
	var t time.Time
	if err == nil {
		t, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		return fmt.Errorf("is %s, expected an instant with its zone such as 2027-01-31T09:00:00Z", raw)
	}
	*i = instant(t)
	return nil
}

// endpoint is an HTTP URL to poll.
type endpoint struct{ url *url.URL }

func (e *endpoint) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err // without the value, which may hold a password
	}
	u, err := web.ParseURL(text)
	e.url = u
	return err
}

// statuses is one HTTP status or a list of them. An entry that is still an unevaluated expression is 0.
type statuses []int

func (s *statuses) UnmarshalJSON(raw []byte) error {
	if string(raw) == "null" {
		return nil
	}
	list := []int{0}
	if json.Unmarshal(raw, &list[0]) != nil {
		if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
			return fmt.Errorf("is %s, expected a status such as 200 or a list of them", raw)
		}
	}
	for _, status := range list {
		if status != 0 && (status < 200 || status > 599) {
			return fmt.Errorf("%d is not a status from 200 to 599", status)
		}
	}
	*s = list
	return nil
}

// oneOf returns an error unless exactly one of two keys is set.
func oneOf(with map[string]any, a, b string) error {
	if (with[a] == nil) == (with[b] == nil) {
		return errOneOf(a, b)
	}
	return nil
}

func errOneOf(a, b string) error {
	return &tasks.FieldError{Msg: fmt.Sprintf("expected one of %s and %s", a, b), Hint: "give the one that is meant"}
}
