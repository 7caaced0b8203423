// Command sluice runs durable pipelines of tasks and proves that their history is complete.
package main

import (
	"context"
	"os"
	_ "time/tzdata" // zones for machines that have none

	"github.com/sluiceworks/sluice/app"
	"github.com/sluiceworks/sluice/examples/wordcount"
)

func main() {
	os.Exit(app.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr,
		wordcount.Module, // an extension is one line here
	))
}
