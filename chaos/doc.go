// Package chaos breaks a running installation in every way it can think of, and then proves that nothing was lost, doubled or
// stranded. It starts real worker processes against a real database, keeps starting pipelines, injects faults side by side, and
// compares three accounts that know nothing of each other: what `sluice verify` checks, what the handlers wrote into ledgers of
// their own, and what the history says. It is for tests alone, and nothing of it is in the program.
package chaos
