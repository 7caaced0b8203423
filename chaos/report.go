package chaos

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Report is what a run did and found. Reports of several runs can be added.
type Report struct {
	Transitions int            `json:"transitions"` // events with a version, all verified
	Runs        int            `json:"runs"`        // pipeline executions
	Tasks       int            `json:"tasks"`
	Strikes     map[string]int `json:"strikes"` // of faults that hit something, by name
	Seconds     float64        `json:"seconds"` // that the runs took
	// runs of the verification: of open runs after each fault, and of everything at each end
	Verifications int            `json:"verifications"`
	Refused       int            `json:"refused"`         // writes of zombies, refused
	Accepted      int            `json:"accepted"`        // writes of zombies, accepted
	Stuck         int            `json:"stuck"`           // most tasks and runs that were stuck at the same time
	Abandoned     int            `json:"abandoned"`       // runs with a task that was abandoned after recoveries
	Account       account        `json:"account"`         // ledgers compared with history
	Killed        []Millis       `json:"takeover_killed"` // from SIGKILL to the next claim of each task it held
	Stopped       []Millis       `json:"takeover_stopped"`
	Skew          time.Duration  `json:"skew"`      // how far a worker's log was ahead of this machine's clock, at most
	SameName      int            `json:"same_name"` // pairs of host and process id that workers of several places had
	Said          map[string]int `json:"said"`      // the workers' log messages, by level and text
	Breaches      []string       `json:"breaches"`  // every violation
}

// Millis is a duration in milliseconds.
type Millis int64

func millis(list []time.Duration) []Millis {
	out := make([]Millis, len(list))
	for i, d := range list {
		out[i] = Millis(d.Milliseconds())
	}
	return out
}

// Add adds another run's report.
func (r *Report) Add(o Report) {
	r.Transitions, r.Runs, r.Tasks = r.Transitions+o.Transitions, r.Runs+o.Runs, r.Tasks+o.Tasks
	r.Verifications, r.Refused, r.Accepted = r.Verifications+o.Verifications, r.Refused+o.Refused, r.Accepted+o.Accepted
	r.Seconds += o.Seconds
	r.Skew, r.SameName = max(r.Skew, o.Skew), r.SameName+o.SameName
	r.Stuck, r.Abandoned = r.Stuck+o.Stuck, r.Abandoned+o.Abandoned
	r.Account.add(o.Account)
	r.Strikes, r.Said = sum(r.Strikes, o.Strikes), sum(r.Said, o.Said)
	r.Killed, r.Stopped = append(r.Killed, o.Killed...), append(r.Stopped, o.Stopped...)
	r.Breaches = append(r.Breaches, o.Breaches...)
}

func (a *account) add(o account) {
	a.Starts, a.Started, a.NeverBegun, a.Cut = a.Starts+o.Starts, a.Started+o.Started, a.NeverBegun+o.NeverBegun,
		a.Cut+o.Cut
}

func sum(a, b map[string]int) map[string]int {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]int{}
	}
	for k, n := range b {
		out[k] += n
	}
	return out
}

// Percentile returns the value that the given share of a list does not exceed, or 0 for an empty list.
func Percentile(list []Millis, share float64) Millis {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

// Missing lists the goals of a configuration that a report does not reach.
func (c Config) Missing(r Report) []string {
	var list []string
	if r.Transitions < c.Transitions {
		list = append(list, fmt.Sprintf("%d of %d transitions", r.Transitions, c.Transitions))
	}
	if r.Refused+r.Accepted < c.Refused {
		list = append(list, fmt.Sprintf("%d of %d writes of zombies", r.Refused, c.Refused))
	}
	for _, name := range c.Names() {
		if r.Strikes[name] < c.Strikes[name] {
			list = append(list, fmt.Sprintf("%s: %d of %d", name, r.Strikes[name], c.Strikes[name]))
		}
	}
	return list
}

// Summary returns the report in a few lines.
func (r Report) Summary() string {
	return fmt.Sprintf(`%d transitions of %d tasks in %d runs; strikes %v; %d verifications; breaches %d
zombie writes refused %d, accepted %d; stuck %d; runs with an abandoned task %d
handlers began %d times, %d by the history: %d claims whose worker never began, %d calls cut short
takeover after a kill: %d tasks, p50 %d, p99 %d, max %d ms; after a graceful stop: %d tasks, p50 %d, p99 %d, max %d ms
workers said %v`,
		r.Transitions, r.Tasks, r.Runs, r.Strikes, r.Verifications, len(r.Breaches), r.Refused, r.Accepted, r.Stuck,
		r.Abandoned,
		r.Account.Starts, r.Account.Started, r.Account.NeverBegun, r.Account.Cut,
		len(r.Killed), Percentile(r.Killed, 0.5), Percentile(r.Killed, 0.99), Percentile(r.Killed, 1),
		len(r.Stopped), Percentile(r.Stopped, 0.5), Percentile(r.Stopped, 0.99), Percentile(r.Stopped, 1), r.Said)
}
