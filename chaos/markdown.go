package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Markdown returns the report for docs/, compared with the goal.
func (r Report) Markdown(goal Config) string {
	var b strings.Builder
	b.WriteString(preface)
	fmt.Fprintf(&b, "\n%d worker processes of %d slots, a lease of %s, PostgreSQL with its defaults for durability; "+
		"about %d runs open at any time.\n\n",
		goal.Workers, goal.Slots, goal.Lease, goal.Open)
	b.WriteString("## What was done\n\n| | goal | reached |\n|---|---:|---:|\n")
	row := func(what string, goal, reached int) { fmt.Fprintf(&b, "| %s | %d | %d |\n", what, goal, reached) }
	row("transitions, each verified", goal.Transitions, r.Transitions)
	for _, name := range goal.Names() {
		row(name, goal.Strikes[name], r.Strikes[name])
	}
	row("writes of zombies tried", goal.Refused, r.Refused+r.Accepted)
	for _, name := range slices.Sorted(maps.Keys(r.Strikes)) {
		if _, asked := goal.Strikes[name]; !asked {
			fmt.Fprintf(&b, "| %s | | %d |\n", name, r.Strikes[name])
		}
	}
	fmt.Fprintf(&b, "\n%d runs of %d tasks, in %.0f minutes. The checker ran %d times: over all open runs after each "+
		"fault, over everything at the end of each round.\n",
		r.Runs, r.Tasks, r.Seconds/60, r.Verifications)
	if missing := goal.Missing(r); len(missing) > 0 {
		fmt.Fprintf(&b, "\n**Not the full size yet**: %s.\n", strings.Join(missing, "; "))
	}
	r.findings(&b, goal)
	r.workers(&b)
	return wrapped(b.String())
}

// wrapped breaks the lines of paragraphs after at most 120 bytes. Headings and tables stay as they are.
func wrapped(text string) string {
	const width = 120
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") || strings.HasPrefix(line, "#") {
			b.WriteString(line)
			continue
		}
		at := 0
		for i, word := range strings.Fields(line) {
			switch {
			case i > 0 && at+1+len(word) > width:
				b.WriteByte('\n')
				at = 0
			case i > 0:
				b.WriteByte(' ')
				at++
			}
			b.WriteString(word)
			at += len(word)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const preface = `# Fault tests

` + "Written by `make chaos`; what is injected and what is compared is described in [chaos/doc.go](../chaos/doc.go)" + `
` + "and beside each fault in `chaos/fault_*.go`." + `
The tests in chaos/ run the same faults at one to two percent of this size. They also test a full disk on both
databases, SQLite's log cut at random lengths, a process whose clock is an hour off, two processes with the same name,
a task with a thousand dependencies, and handlers that misbehave.
`

func (r Report) findings(b *strings.Builder, goal Config) {
	b.WriteString("\n## What was found\n\n| | allowed | found |\n|---|---:|---:|\n")
	limit := Millis((goal.Lease + 5*time.Second).Milliseconds())
	for _, row := range []struct{ what, allowed, found any }{
		{"breaches, all kinds together", 0, len(r.Breaches)},
		{"writes of zombies accepted", 0, r.Accepted},
		{fmt.Sprintf("runs stuck for longer than %s", goal.stale()), 0, r.Stuck},
		{"takeover after SIGKILL, the database being reachable, 99 % (ms)", limit, Percentile(r.Killed, 0.99)},
		{"takeover after a graceful stop, all (ms)", 2000, Percentile(r.Stopped, 1)},
	} {
		fmt.Fprintf(b, "| %v | %v | %v |\n", row.what, row.allowed, row.found)
	}
	fmt.Fprintf(b, `
Takeover after SIGKILL, from the signal to the next claim of each of the %d tasks that were held: median %d ms, 99 %% %d
ms, longest %d ms. All faults go on side by side: PostgreSQL may have just come back, or the other processes may have
been killed too.
After a graceful stop, each of the %d tasks handed back while PostgreSQL could be reached: median %d ms, 99 %% %d ms,
longest %d ms.

Handlers began %d times by their own ledgers. The history says %d: the other %d are claims whose worker died, or was not
told of its COMMIT, before the handler began; each was taken back. %d calls ended with their process, in the middle. %d
runs lost a task to the cap of recoveries, as a task that was there each time a worker died should: its handler calls
os.Exit, or it stood beside one.
`, len(r.Killed), Percentile(r.Killed, 0.5), Percentile(r.Killed, 0.99), Percentile(r.Killed, 1),
		len(r.Stopped), Percentile(r.Stopped, 0.5), Percentile(r.Stopped, 0.99), Percentile(r.Stopped, 1),
		r.Account.Starts, r.Account.Started, r.Account.NeverBegun, r.Account.Cut, r.Abandoned)
	for _, breach := range r.Breaches {
		fmt.Fprintf(b, "\n```\n%s\n```\n", strings.TrimSpace(breach))
	}
}

func (r Report) workers(b *strings.Builder) {
	b.WriteString("\n## What the workers said\n\n| message | times |\n|---|---:|\n")
	for _, message := range slices.Sorted(maps.Keys(r.Said)) {
		fmt.Fprintf(b, "| %s | %d |\n", message, r.Said[message])
	}
}
