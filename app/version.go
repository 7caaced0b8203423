package app

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

// buildInfo describes how the program was built. The Go command records it: the version in every build, commit and
// time only in a build from a Git checkout (not by go install …@v0.1.0, and not with -buildvcs=false).
type buildInfo struct {
	Version     string     `json:"version"`      // a tag, or a pseudo-version; "(devel)" if unknown
	Revision    *string    `json:"revision"`     // the commit; nil if unknown
	CommittedAt *time.Time `json:"committed_at"` // the commit's time; nil if unknown
	Modified    bool       `json:"modified"`     // the checkout had changes that were not committed
	Go          string     `json:"go"`
	Platform    string     `json:"platform"`
}

func readBuildInfo() buildInfo {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describeBuild(info)
}

func describeBuild(info *debug.BuildInfo) buildInfo {
	b := buildInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = &s.Value
		case "vcs.time":
			if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
				at = at.UTC()
				b.CommittedAt = &at
			}
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String returns the line that `sluice version` and `sluice --version` print.
func (b buildInfo) String() string {
	line := "sluice " + b.Version
	if b.Revision != nil {
		line += " (commit " + (*b.Revision)[:min(12, len(*b.Revision))]
		if b.CommittedAt != nil {
			line += " of " + b.CommittedAt.Format(time.RFC3339)
		}
		if b.Modified {
			line += " with uncommitted changes"
		}
		line += ")"
	}
	return line + " " + b.Go + " " + b.Platform
}

func (c *cli) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the program's version",
		Long: `Prints the version, the commit, its time and whether there were uncommitted changes, the version of Go,
and the platform. The version is a tag, or Go's pseudo-version of a commit without a tag. A program that was built by
` + "`go install`" + ` knows its version but not its commit; one built without Git's history has the version (devel).`,
		Example: "  sluice version\n  sluice version -o json", Args: arguments(0, 0, ""),
	}
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
