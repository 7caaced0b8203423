package app

import (
	"regexp"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manPagesCommand is the command by which a release writes the man pages of all commands.
func (c *cli) manPagesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man-pages DIR", Short: "Write a man page for each command into the directory DIR", Hidden: true,
		Example: "  sluice man-pages man/man1", Args: arguments(1, 1, "a directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true // it would hold today's date
			forManPages(root)
			build := readBuildInfo()
			header := &doc.GenManHeader{
				Section: "1", Source: "sluice " + build.Version, Manual: "sluice", Date: build.CommittedAt,
			}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fileError(err)
			}
			return nil
		},
	}
}

var (
	// blockStart matches the first line of an indented block that directly follows a line of text.
	blockStart   = regexp.MustCompile(`(?m)^(\S.*)\n( +\S)`)
	indentedLine = regexp.MustCompile(`(?m)^ +\S`)
)

// forManPages rewrites help texts for cobra's generator, which reads them as Markdown: an indented block needs an empty
// line before it, and four more columns.
func forManPages(cmd *cobra.Command) {
	cmd.Long = indentedLine.ReplaceAllString(blockStart.ReplaceAllString(cmd.Long, "$1\n\n$2"), "    $0")
	for _, sub := range cmd.Commands() {
		forManPages(sub)
	}
}
