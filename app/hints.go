package app

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/platform/redact"
)

// remember keeps the shared flags of the command line that select the database, so that printed commands contain
// them. Settings from the environment or a configuration file apply to the next command too, and are not repeated.
func (c *cli) remember(cmd *cobra.Command) {
	var b strings.Builder
	b.WriteString("sluice")
	for _, name := range []string{configFlag, "database-url", "tenant"} {
		f := cmd.Flags().Lookup(name)
		if f == nil || !f.Changed {
			continue
		}
		value := f.Value.String()
		if name == "database-url" {
			value = withoutPassword(value)
		}
		b.WriteString(" --" + name + " " + quoted(value))
	}
	c.program = b.String()
}

// withoutPassword returns a database URL without its passwords, or "URL" if their ends cannot be found.
func withoutPassword(s string) string {
	if redact.Database(s) == s {
		return s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "URL"
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	query := u.Query()
	for key := range query {
		if redact.IsSecret(key) {
			query.Del(key)
		}
	}
	u.RawQuery = query.Encode()
	if out := u.String(); redact.Database(out) == out {
		return out
	}
	return "URL"
}

// again adds the flags of remember to every command of this program that a text contains in backquotes.
func (c *cli) again(text string) string {
	if c.program == "" || c.program == "sluice" {
		return text
	}
	return strings.ReplaceAll(text, "`sluice ", "`"+c.program+" ")
}
