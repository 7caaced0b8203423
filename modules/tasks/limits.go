package tasks

// Limits on what one attempt leaves in the database, in bytes. They bound a row, not what a handler may work with:
// larger results belong in a file or an object store, and their place in the output.
const (
	MaxOutput = 1 << 20   // of an output, as JSON
	MaxLog    = 256 << 10 // kept of each of stdout and stderr
	MaxError  = 8 << 10   // of an error's text
)

// MaxNeeds is the limit, in bytes, on the outputs that one task reads, all of them together: those that its expressions
// name and, for a command, those of all its dependencies, which $SLUICE_INPUT contains. A worker holds them in memory
// while the task runs.
const MaxNeeds = 256 << 20

// OutputsAtOnce is how many outputs of a run a command that shows or compares runs holds in memory at the same time.
const OutputsAtOnce = 8
