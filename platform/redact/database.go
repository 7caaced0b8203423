// Package redact removes credentials from texts that are stored or shown: from URLs of databases and URLs of
// requests.
package redact

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Hidden replaces a secret.
const Hidden = "xxxxx"

// secretWord matches a setting with a secret, up to its value, in the URL or the key=value form of a database.
var secretWord = regexp.MustCompile(
	`(?i)((?:^|[?&\s;])(?:ssl|pg)?(?:password|passphrase|passwd|pwd|secret|token|` +
		`scram_client_key|scram_server_key|oauth_client_secret)\s*=\s*)`)

// IsSecret reports whether a setting of this name holds a secret.
func IsSecret(name string) bool { return secretWord.MatchString(name + "=") }

// Database returns the URL or the key=value form of a database without passwords. If the text is neither, Database
// removes everything that could be part of a password.
func Database(raw string) string {
	scheme, rest, isURL := strings.Cut(raw, "://")
	if !isURL {
		// The text may be postgres:/user:password@host, with one slash too few, or user:password@host.
		if at := strings.LastIndexByte(raw, '@'); at >= 0 {
			raw = Hidden + raw[at:]
		}
		return settings(raw)
	}
	if strings.EqualFold(scheme, "sqlite") {
		return raw
	}
	// The last @ before the end of the host separates the user from the host. An unescaped / ? or # in the password
	// would end the host too early, so the last @ of the whole text counts, unless it is in the query.
	authority, query, hasQuery := strings.Cut(rest, "?")
	if hasQuery && !strings.ContainsRune(authority, '@') && maybeTruncated(query) {
		authority, query, hasQuery = rest, "", false
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, _, hasPassword := strings.Cut(authority[:at], ":")
		if hasPassword {
			user += ":" + Hidden
		}
		authority = user + authority[at:]
	}
	out := scheme + "://" + authority
	if hasQuery {
		out += "?" + settings(query)
	}
	return out
}

// maybeTruncated reports whether a query is the rest of a password with a question mark: an @ comes before any setting.
func maybeTruncated(query string) bool {
	at, equals := strings.IndexByte(query, '@'), strings.IndexByte(query, '=')
	return at >= 0 && (equals < 0 || at < equals)
}

// settings hides the values of secret settings in a query or in key=value pairs.
func settings(s string) string {
	var out strings.Builder
	for {
		found := secretWord.FindStringIndex(s)
		if found == nil {
			out.WriteString(s)
			return out.String()
		}
		out.WriteString(s[:found[1]] + Hidden)
		s = s[found[1]+valueEnd(s[found[1]:]):]
	}
}

// valueEnd returns the length of a value. A value in single quotes may contain quotes after a backslash. Any other
// value ends at a separator.
func valueEnd(s string) int {
	quoted := strings.HasPrefix(s, "'")
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case quoted && i > 0 && c == '\'':
			return i + 1
		case !quoted && (c == '&' || c == ' ' || c == '\t' || c == '\n' || c == ';'):
			return i
		}
	}
	return len(s)
}

// Secrets lists the passwords in the URL or the key=value form of a database. Each is listed as written, and then
// decoded if that differs.
func Secrets(raw string) []string {
	var found []string
	add := func(s string) {
		s = strings.Trim(s, "'")
		if s != "" {
			found = append(found, s)
		}
		if plain, err := url.QueryUnescape(s); err == nil && plain != s && plain != "" {
			found = append(found, plain)
		}
		if plain, err := url.PathUnescape(s); err == nil && plain != s && plain != "" {
			found = append(found, plain)
		}
	}
	shown := Database(raw)
	if at := strings.LastIndexByte(raw, '@'); at >= 0 && strings.Contains(shown, Hidden+"@") {
		user := raw[:at]
		if _, rest, ok := strings.Cut(user, "://"); ok {
			user = rest
		}
		if _, password, ok := strings.Cut(user, ":"); ok {
			add(password)
		}
	}
	for s := raw; ; {
		at := secretWord.FindStringIndex(s)
		if at == nil {
			return found
		}
		end := at[1] + valueEnd(s[at[1]:])
		add(s[at[1]:end])
		s = s[end:]
	}
}

// Text replaces the secrets of a database's URL in a text, such as an error of a driver. Secrets of fewer than four
// characters stay, because they would also be found in unrelated words.
func Text(text, database string) string {
	secrets := Secrets(database)
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // one may be the beginning of another
	for _, secret := range secrets {
		if len(secret) >= 4 {
			text = strings.ReplaceAll(text, secret, Hidden)
		}
	}
	return text
}
