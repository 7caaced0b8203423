package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/seal"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type sealNeeds struct {
	fx.In
	Sealer *seal.Sealer
}

// sealDocument is the state after the command.
type sealDocument struct {
	Enabled bool  `json:"enabled"`
	Sealed  int64 `json:"sealed"` // executions, by this command
}

func (c *cli) sealCommand() *cobra.Command {
	var on, off, all bool
	cmd := &cobra.Command{
		Use:   "seal",
		Short: "Seal executions that have ended, and switch sealing on or off",
		Long: `A seal is a SHA-256 over the history, input, outputs, definition, idempotency key and labels of an
execution that has ended, kept with it and checked by ` + "`sluice verify`" + `. With sealing on, whatever ends is
marked in the same transaction, and sealed within moments by any ` + "`sluice serve`" + `, by the ` + "`sluice run`" + `
that ended it, or by this command.
` + "`sluice verify --print-root`" + ` gives one hash over all seals of a period, to be kept elsewhere.`,
		Example: "  sluice seal --on --all",
		Args:    arguments(0, 0, ""),
	}
	cmd.Flags().BoolVar(&on, "on", false, "seal whatever ends from now on")
	cmd.Flags().BoolVar(&off, "off", false, "seal nothing that ends from now on; seals that there are stay")
	cmd.Flags().BoolVar(&all, "all", false, "also seal what ended earlier and still has its events")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if on && off {
			return usagef("--on and --off don't go together")
		}
		return with(cmd.Context(), c, func(ctx context.Context, n sealNeeds) error {
			doc, err := n.seal(ctx, on, off, all)
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printJSON(c.stdout, doc)
			}
			state := "off: what ends is not sealed"
			if doc.Enabled {
				state = "on: what ends is sealed"
			}
			fmt.Fprintf(c.stdout, "sealed %s; sealing is %s\n", counted(doc.Sealed, "execution"), state)
			return nil
		})
	}
	return cmd
}

func (n sealNeeds) seal(ctx context.Context, on, off, all bool) (doc sealDocument, err error) {
	switch {
	case on:
		err = n.Sealer.Enable(ctx)
	case off:
		err = n.Sealer.Disable(ctx)
	}
	if err != nil {
		return doc, err
	}
	if all {
		if _, err := n.Sealer.MarkUnsealed(ctx); err != nil {
			return doc, err
		}
	}
	if doc.Sealed, err = n.Sealer.Run(ctx); err != nil {
		return doc, err
	}
	doc.Enabled, err = n.Sealer.Enabled(ctx)
	return doc, err
}

// printRoot prints the hash over the seals of a period, which ends at the time that --until names.
func (c *cli) printRoot(
	ctx context.Context, n verifyNeeds, since dbtype.Time, untilFlag, format string,
) error {
	until, err := parseInstant("--until", untilFlag, n.DB.Now())
	if err != nil {
		return err
	}
	root, err := n.Sealer.Root(ctx, since, until)
	if err != nil {
		return err
	}
	if format == formatJSON {
		return printJSON(c.stdout, root)
	}
	fmt.Fprintf(c.stdout, "%s\nover the seals of %s\n", root.Root, counted(root.Executions, "execution"))
	if root.Unsealed > 0 {
		fmt.Fprintln(c.stdout, c.again(counted(root.Unsealed, "execution")+
			" of the period without a seal: `sluice seal --all` gives them one"))
	}
	return nil
}
