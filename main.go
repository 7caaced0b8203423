// Command sluice runs durable pipelines of tasks and proves that their history is complete.
package main

import (
	"context"
	"os"
	_ "time/tzdata" // zones for machines that have none

	"sluice/app"
	"sluice/examples/wordcount"
)

func main() {
	os.Exit(app.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr,
		wordcount.Module, // an extension is one line here
	))
}
