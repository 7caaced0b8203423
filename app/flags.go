package app

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/health"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/duration"
)

// choice is a flag with one of a few words, in any case.
type choice struct {
	value   *string
	allowed []string
	kind    string
	former  map[string]string // values that were allowed before version 0.1.0, with their present names
}

func (c *choice) String() string { return *c.value }
func (c *choice) Type() string   { return c.kind }

func (c *choice) Set(s string) error {
	if current, former := c.former[strings.ToLower(s)]; former {
		s = current
	}
	i := slices.IndexFunc(c.allowed, func(a string) bool { return strings.EqualFold(a, s) })
	if i < 0 {
		return errors.New(didYouMean(s, c.allowed, "expected one of "+strings.Join(c.allowed, ", ")))
	}
	*c.value = c.allowed[i]
	return nil
}

// count is a flag with a whole number of at least least.
type count struct {
	value *int
	least int
}

func (c *count) String() string { return strconv.Itoa(*c.value) }
func (c *count) Type() string   { return "N" }

func (c *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < c.least {
		return fmt.Errorf("expected a whole number from %d", c.least)
	}
	*c.value = n
	return nil
}

// bounded is a count of at most most.
type bounded struct {
	count
	most int
}

func (b *bounded) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < b.least || n > b.most {
		return fmt.Errorf("expected a whole number from %d to %d", b.least, b.most)
	}
	return b.count.Set(s)
}

// rate is a flag with a number of events per second.
type rate struct{ value *float64 }

func (r *rate) Type() string { return "N" }

// String returns "0" if the rate is not set, which the help does not print as a default.
func (r *rate) String() string { return strconv.FormatFloat(*r.value, 'g', -1, 64) }

func (r *rate) Set(s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= minRate && v <= maxRate) {
		return fmt.Errorf("expected a number from %g to %g", minRate, maxRate)
	}
	*r.value = v
	return nil
}

// Lower rates would wait too long, and higher ones exceed the clock's resolution.
const (
	minRate = 0.001
	maxRate = 1e6
)

// durationFlag is a flag with a duration in the format of pipelines, with days and weeks, of at least least.
type durationFlag struct {
	value *time.Duration
	least time.Duration
}

// String returns "0" if the duration is not set, which the help does not print as a default.
func (d *durationFlag) String() string {
	if *d.value == 0 {
		return "0"
	}
	return d.value.String()
}

func (d *durationFlag) Type() string { return "DURATION" }

func (d *durationFlag) Set(s string) error {
	v, err := duration.Parse(s)
	if err != nil {
		return errors.New("expected a duration such as 500ms, 15s, 5m, 1h30m or 90d")
	}
	if v < d.least {
		return fmt.Errorf("expected at least %s", d.least)
	}
	*d.value = v
	return nil
}

const (
	formatTable = "table"
	formatJSON  = "json"
)

// outputFlag adds -o to a command, with a table as the default unless another format is given. Its value is valid
// when the command runs.
func outputFlag(cmd *cobra.Command, otherwise ...string) *string {
	format := append(otherwise, formatTable)[0]
	cmd.Flags().VarP(&choice{value: &format, allowed: []string{formatTable, formatJSON}, kind: "FORMAT"}, "output", "o",
		"`FORMAT` of the answer: table or json")
	return &format
}

// address is a flag with the address that a server listens on.
type address struct{ value *string }

func (a *address) String() string { return *a.value }
func (a *address) Type() string   { return "ADDR" }

func (a *address) Set(s string) (err error) {
	*a.value, err = health.Address(s)
	return err
}

// queueNames is a flag with names of queues, separated by commas.
type queueNames struct{ value *[]string }

func (q *queueNames) String() string { return strings.Join(*q.value, ",") }
func (q *queueNames) Type() string   { return "QUEUES" }

func (q *queueNames) Set(s string) error {
	var list []string
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		if !tasks.ValidQueue(name) {
			return fmt.Errorf("invalid queue name %q: %s", name, tasks.QueueNameRule)
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	*q.value = list
	return nil
}

// allTenants is the value that means every tenant.
const allTenants = "all"

// tenantNames is a flag with names of tenants, separated by commas. An empty list means all.
type tenantNames struct{ value *[]string }

func (n *tenantNames) String() string { return strings.Join(*n.value, ",") }
func (n *tenantNames) Type() string   { return "TENANTS" }

func (n *tenantNames) Set(s string) error {
	*n.value = nil
	if s == allTenants {
		return nil
	}
	var list []string
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		if err := db.CheckTenantName(name); err != nil {
			return err
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	*n.value = list
	return nil
}
