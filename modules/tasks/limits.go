package tasks

// Limits on what one attempt stores in the database, in bytes. They bound the size of a row, not the data that a
// handler can process. Larger results belong in a file or an object store, with their location in the output.
const (
	MaxOutput = 1 << 20   // size of an output, as JSON
	MaxLog    = 256 << 10 // stored size of each of stdout and stderr
	MaxError  = 8 << 10   // size of the text of an error
)

// MaxNeeds is the maximum total size, in bytes, of the outputs that one task reads: those that its expressions name
// and, for a command, those of all its dependencies, which $SLUICE_INPUT contains. A worker holds them in memory while
// the task runs.
const MaxNeeds = 256 << 20

// OutputsAtOnce is the number of outputs that a command which shows or compares runs holds in memory at once.
const OutputsAtOnce = 8
