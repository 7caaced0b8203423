package main

import "strings"

const introduction = `# Benchmarks

Written by ` + "`make bench`" + ` (the program in [bench/](../bench)), not by hand. It measures sluice, other
engines and the floor, which is the least that the same durable rows and events cost in hand-written SQL, on one
database server, in turn. Every run creates its tasks and works them off to the end, and is checked: each engine by its
own tables' counts, sluice by ` + "`sluice verify`" + ` over all that it wrote.

Trust ratios, not absolute figures: a machine has its moods, and a ratio is taken within a round, of runs that are near
in time. The engines do not do the same: see the [last table](#what-each-keeps-and-guarantees).

`

// guarantees is the last part of the page.
func guarantees() string {
	rows := [][]string{
		{"", "keeps", "guarantees", "does not"},
		{"---", "---", "---", "---"},
		{
			"sluice",
			"every transition of every task and run as an event, with attempt, worker, error, time; until retention " +
				"removes it",
			"each transition, its event and its outbox row in one transaction, checked by `verify`; at least once; " +
				"graphs, trigger rules, fenced workers",
			"",
		},
		{
			"floor",
			"the same rows and events",
			"the same transactions",
			"leases, retries, failures, any other shape than a chain: no engine",
		},
		{
			"River",
			"one row a job with its last state, and the errors of its attempts; removed a day after completion by " +
				"default",
			"at least once; retries; unique jobs",
			"no history of transitions; no graph in the open version, so it is measured with single jobs",
		},
		{
			"DBOS",
			"one row a workflow, and one a step with its output",
			"a step that has completed is not run again; workflows are resumed",
			"no history of claims and starts; started in the process here, without its queue",
		},
		{
			"go-workflows",
			"the history of each workflow: scheduled, started, completed",
			"deterministic replay; activities at least once",
			"measured on SQLite alone",
		},
	}
	var b strings.Builder
	b.WriteString("## What each keeps and guarantees\n\n")
	for _, cells := range rows {
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	b.WriteString("\nEach is tuned for throughput the way its authors advise; sluice runs at its defaults.\n")
	return b.String()
}
