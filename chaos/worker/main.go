// Command worker is the program as it is, with the fault tests' handler as its one extension.
package main

import (
	"context"
	"os"

	"github.com/sluiceworks/sluice/app"
	"github.com/sluiceworks/sluice/chaos/step"
)

func main() {
	os.Exit(app.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, step.Module))
}
