package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/bench/measure"
)

const barWidth = 40

// render writes the page.
func render(r *results) string {
	var b strings.Builder
	b.WriteString(introduction)
	if r.Scale != 1 {
		fmt.Fprintf(&b, "**A quick look: %g of the usual number of tasks.** Engines have hardly warmed up; do not "+
			"quote these figures.\n\n", r.Scale)
	}
	b.WriteString("## Ratios\n\n| | median | lowest – highest | rounds |\n|---|---|---|---|\n")
	for _, f := range figures() {
		if v, ok := f.of(r); ok {
			median, spread := f.show(v)
			fmt.Fprintf(&b, "| %s | **%s** | %s | %d |\n", f.title, median, spread, v.rounds)
		}
	}
	b.WriteString("\n## Tasks per second\n\nCreation included; the longer the better. Medians.\n\n")
	chart(&b, r, "On PostgreSQL", false)
	chart(&b, r, "On SQLite", true)
	rates(&b, r)
	place(&b, r)
	settings(&b, r)
	b.WriteString(guarantees())
	return b.String()
}

// names are those of contestants for the reader.
var names = map[string]string{
	"sluice": "sluice", "floor": "floor", "lite-floor": "floor", "river": "River", "riverlite": "River", "dbos": "DBOS",
	"goworkflows": "go-workflows",
}

// atFullSpeed are the runs whose rate is their own, and not that of arrivals.
func atFullSpeed(r *results, lite bool) (list []run) {
	for _, x := range runs() {
		if len(r.Runs[x.key]) > 0 && x.lite == lite && !x.paced() && !x.once && x.key != stepsKey {
			list = append(list, x)
		}
	}
	return list
}

func medianRate(r *results, key string) value {
	var all []float64
	for _, o := range r.Runs[key] {
		all = append(all, o.TasksPerSecond)
	}
	return summarize(all)
}

func chart(b *strings.Builder, r *results, title string, lite bool) {
	list := atFullSpeed(r, lite)
	if len(list) == 0 {
		return
	}
	longest, widest := 0.0, 0
	for _, x := range list {
		longest = max(longest, medianRate(r, x.key).median)
		widest = max(widest, len(names[x.who])+2+len(x.what))
	}
	fmt.Fprintf(b, "%s:\n\n```\n", title)
	for _, x := range list {
		v := medianRate(r, x.key).median
		fmt.Fprintf(b, "%-*s %s %s\n", widest, names[x.who]+", "+x.what, bar(v/longest), thousands(v))
	}
	b.WriteString("```\n\n")
}

// bar draws a part of the widest one, to an eighth of a character.
func bar(part float64) string {
	eighths := max(int(part*barWidth*8+0.5), 1)
	rest := []string{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}[eighths%8]
	return strings.Repeat("█", eighths/8) + rest
}

// thousands writes a whole number with its thousands apart.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func rates(b *strings.Builder, r *results) {
	b.WriteString("| engine | work | tasks | tasks/s | lowest – highest | its CPU, µs a task | " +
		"Postgres's CPU, µs a task | latency ms, 50 % / 99 % |\n|---|---|---|---|---|---|---|---|\n")
	for _, x := range runs() {
		all := r.Runs[x.key]
		if len(all) == 0 {
			continue
		}
		v, where := medianRate(r, x.key), ""
		if x.lite {
			where = ", SQLite"
		}
		perTask := func(of func(measure.Outcome) float64) string {
			var list []float64
			for _, o := range all {
				list = append(list, of(o)/float64(o.Tasks)*1e6)
			}
			if m := summarize(list).median; m > 0 {
				return thousands(m)
			}
			return ""
		}
		fmt.Fprintf(b, "| %s | %s%s | %s | %s | %s – %s | %s | %s | %s |\n", names[x.who], x.what, where,
			thousands(float64(all[0].Tasks)), thousands(v.median),
			thousands(v.low), thousands(v.high), perTask(func(o measure.Outcome) float64 { return o.CPU }),
			perTask(func(o measure.Outcome) float64 { return o.ServerCPU }), latencies(x, all))
	}
	b.WriteString(`
Latency is, where tasks arrive at a rate, from the creation of a task to its beginning: for sluice from the beginning of
the transaction that made it ready, for River from before the call that inserts it. In the chain of 500 it is from the
end of a task to the beginning of the next.

`)
}

// latencies are shown where they are an engine's, and not those of a full queue.
func latencies(x run, all []measure.Outcome) string {
	var half, most []float64
	for _, o := range all {
		l := o.Latency
		if x.key == stepsKey {
			l = o.Step
		}
		if l == nil || x.key != stepsKey && !x.paced() {
			return ""
		}
		half, most = append(half, l.P50), append(most, l.P99)
	}
	return fmt.Sprintf("%.2f / %.2f", summarize(half).median, summarize(most).median)
}

func place(b *strings.Builder, r *results) {
	m := r.Machine
	fmt.Fprintf(b, "## Where and how\n\n%s, %s everything short, in turn, each run in a process and on a database of "+
		"its own.\n\n", r.Began.Format("2 January 2006"), rounds(r.Rounds))
	fmt.Fprintf(b, "- %s, %d cores, %.0f GB, Linux %s; 8 KiB are on the disk after %.2f ms (median). Engines and "+
		"server share the cores.\n", m.CPU, m.Cores, m.MemoryGB, m.Kernel, m.SyncMS)
	var list []string
	for _, name := range slices.Sorted(maps.Keys(m.Settings)) {
		list = append(list, name+" "+m.Settings[name])
	}
	fmt.Fprintf(b, "- PostgreSQL %s on loopback: %s; the rest default. SQLite: WAL, synchronous FULL, for everybody.\n",
		m.Postgres, strings.Join(list, ", "))
	fmt.Fprintf(b, "- %s; tasks that do nothing, without input and output.\n", m.Go)
	fmt.Fprintf(b, "- sluice %s; %s\n", r.Revision, r.Versions)
	b.WriteString("\n")
}

func rounds(n int) string {
	if n == 1 {
		return "One round of"
	}
	return fmt.Sprintf("%d rounds of", n)
}

func settings(b *strings.Builder, r *results) {
	b.WriteString("| engine | work | settings |\n|---|---|---|\n")
	for _, x := range runs() {
		if all := r.Runs[x.key]; len(all) > 0 {
			s := all[0].Settings
			if x.who == "sluice" {
				s += ": `sluice bench " + strings.Join(x.scaled(r.Scale).arguments(), " ") + "`"
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", names[x.who], x.what, s)
		}
	}
	b.WriteString("\n")
}
