package db

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluiceworks/sluice/platform/redact"
)

const encodeHint = "in the user name and the password, write @ as %40, / as %2F, ? as %3F, # as %23, : as %3A " +
	"and % as %25"

// parsePostgres reads the URL of a server. Its errors contain no part of a password.
func parsePostgres(raw string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %s", ErrInvalidURL, redact.Database(raw), parseProblem(raw, err))
	}
	hosts := []string{cfg.ConnConfig.Host}
	for _, f := range cfg.ConnConfig.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		if strings.ContainsRune(host, '@') && !strings.HasPrefix(host, "/") && !strings.HasPrefix(host, "@") {
			// The driver would look up a part of the password as a host, and so send it to a name server.
			return nil, fmt.Errorf("%w: %s: the name of the host holds an @: %s", ErrInvalidURL, redact.Database(raw),
				encodeHint)
		}
	}
	return cfg, nil
}

// parseProblem describes what is wrong with a URL. If net/url cannot parse it, the text of its error is not used,
// because it may contain a piece of the password.
func parseProblem(raw string, err error) string {
	if _, parsed := url.Parse(raw); parsed != nil {
		return "it cannot be taken apart: " + encodeHint
	}
	text := err.Error()
	if _, rest, ok := strings.Cut(text, "`: "); ok { // pgx repeats the URL at the start
		text = rest
	}
	return redact.Text(text, raw)
}
