package app

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// remember notes the shared flags of the command line that choose the database, so that printed commands have them again. What the
// environment or a configuration file says holds for the next command too and is not repeated.
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

// withoutPassword returns a database URL without its password.
func withoutPassword(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "URL" // where its password ends is not known
	}
	changed := false
	if _, has := u.User.Password(); has {
		u.User, changed = url.User(u.User.Username()), true
	}
	query := u.Query()
	for key := range query {
		if strings.Contains(strings.ToLower(key), "password") {
			query.Del(key)
			changed = true
		}
	}
	if !changed {
		return s
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// again returns a text with the flags of remember in every command of this program that stands in it in backquotes.
func (c *cli) again(text string) string {
	if c.program == "" || c.program == "sluice" {
		return text
	}
	return strings.ReplaceAll(text, "`sluice ", "`"+c.program+" ")
}
