package tasks

// Limits on what one attempt leaves in the database, in bytes. They bound a row, not what a handler may work with: larger results
// belong in a file or an object store, and their place in the output.
const (
	MaxOutput = 1 << 20   // of an output, as JSON
	MaxLog    = 256 << 10 // kept of each of stdout and stderr
	MaxError  = 8 << 10   // of an error's text
)

// MaxNeeds bounds the outputs of its dependencies that one task reads, in bytes together: those that its expressions name, and for a
// command all, which it finds in $SLUICE_INPUT. A worker holds them in memory while the task runs.
const MaxNeeds = 256 << 20
