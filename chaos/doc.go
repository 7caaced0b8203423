// Package chaos breaks a running installation in many ways, and then verifies that nothing was lost, doubled or
// stranded. It starts real worker processes on a real database, keeps starting pipelines, injects faults
// concurrently, and compares three independent accounts: what `sluice verify` checks, what the handlers wrote into
// their own ledgers, and what the history says. It is only for tests, and is not part of the program.
package chaos
