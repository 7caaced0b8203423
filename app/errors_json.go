package app

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// errorDocument is an error in the form of -o json, on standard error.
type errorDocument struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Code     int         `json:"code"` // the exit code
	Message  string      `json:"message"`
	Hint     dbtype.Text `json:"hint"`               // what to do about it; null: nothing is known
	Problems []mistake   `json:"problems,omitempty"` // of a definition or an input

	Candidates []string `json:"candidates,omitempty"` // ids that a shortened id may mean
}

// bodyOf describes an error that ends the program with a code.
func (c *cli) bodyOf(err error, code int) errorBody {
	body := errorBody{Code: code, Message: oneLine(c.again(err.Error())), Hint: dbtype.Text(c.again(hintFor(err)))}
	var problems definition.Diagnostics
	if errors.As(err, &problems) {
		body.Problems = mistakesOf(problems)
	}
	var ambiguous *ambiguousError
	if errors.As(err, &ambiguous) {
		body.Candidates = ambiguous.ids()
	}
	return body
}

func mistakesOf(list definition.Diagnostics) []mistake {
	out := make([]mistake, len(list))
	for i, p := range list {
		out[i] = mistake{p.File, p.Line, p.Column, p.Message, p.Hint}
	}
	return out
}

// wantsJSON reports whether a command line asks for JSON. It also reads the arguments themselves, because a mistake
// in an earlier one keeps the flag from being set.
func wantsJSON(cmd *cobra.Command, args []string) bool {
	if f := cmd.Flags().Lookup("output"); f != nil && f.Value.String() == formatJSON {
		return true
	}
	for i, arg := range args {
		switch {
		case arg == "--":
			return false
		case slices.Contains([]string{"-o", "--output"}, arg) && i+1 < len(args) && args[i+1] == formatJSON:
			return true
		case slices.Contains([]string{"-ojson", "-o=json", "--output=json"}, strings.TrimSpace(arg)):
			return true
		}
	}
	return false
}
