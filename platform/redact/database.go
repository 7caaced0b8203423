// Package redact takes credentials out of texts that are kept or shown: of URLs of databases, and of URLs of requests.
package redact

import (
	"net/url"
	"regexp"
	"strings"
)

// Hidden stands where a secret was.
const Hidden = "xxxxx"

// secretWord matches a setting of a database's URL or of its key=value form that holds a secret, up to its value.
var secretWord = regexp.MustCompile(`(?i)((?:^|[?&\s;])(?:ssl|pg)?(?:password|passphrase|passwd|pwd|secret|token|scram_client_key|scram_server_key|oauth_client_secret)\s*=\s*)`)

// Database returns the URL or the key=value form of a database without passwords. What cannot be read as either loses everything
// that could be a part of one.
func Database(raw string) string {
	scheme, rest, isURL := strings.Cut(raw, "://")
	if !isURL {
		// postgres:/user:password@host, or user:password@host: with a slash too few.
		if at := strings.LastIndexByte(raw, '@'); at >= 0 {
			raw = Hidden + raw[at:]
		}
		return settings(raw)
	}
	if strings.EqualFold(scheme, "sqlite") {
		return raw
	}
	// The last @ in front of the host's end parts the user from the host. A / ? or # that the password holds unescaped would end the
	// host too early, so the last @ of all counts unless the query has it.
	authority, query, hasQuery := strings.Cut(rest, "?")
	if hasQuery && !strings.ContainsRune(authority, '@') && looksCut(query) {
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

// looksCut tells whether a query is the rest of a password that holds a question mark: an @ comes before any setting.
func looksCut(query string) bool {
	at, equals := strings.IndexByte(query, '@'), strings.IndexByte(query, '=')
	return at >= 0 && (equals < 0 || at < equals)
}

// settings hides the values of the secret words of a query or of key=value pairs.
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

// valueEnd is the length of a value: in single quotes, with \ before a quote that belongs to it, else up to a separator.
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

// Secrets lists the passwords that the URL or the key=value form of a database holds, as they stand and decoded, longest first.
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

// Text replaces the secrets of a database's URL within a text, such as an error that a driver has made. One of fewer than four
// characters stays: it would be found in words that have nothing to do with it.
func Text(text, database string) string {
	for _, secret := range Secrets(database) {
		if len(secret) >= 4 {
			text = strings.ReplaceAll(text, secret, Hidden)
		}
	}
	return text
}
