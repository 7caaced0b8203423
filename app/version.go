package app

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildInfo describes how the program was built.
type buildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the source; empty if it was not built from a checkout
	Modified bool   `json:"modified"` // the checkout had uncommitted changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuildInfo() buildInfo {
	b := buildInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String returns the line that `sluice version` and `sluice --version` print.
func (b buildInfo) String() string {
	line := "sluice " + b.Version
	if b.Revision != "" {
		line += " (" + b.Revision[:min(12, len(b.Revision))] + ")"
	}
	return line + " " + b.Go + " " + b.Platform
}

func (c *cli) versionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Say which version this is", Example: "  sluice version -o json", Args: arguments(0, 0, "")}
	format := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		b := readBuildInfo()
		if *format == formatJSON {
			return printJSON(c.stdout, b)
		}
		fmt.Fprintln(c.stdout, b)
		return nil
	}
	return cmd
}
