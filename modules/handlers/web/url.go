// Package web is shared by the handlers that make HTTP requests. It parses URLs, chooses proxies, follows redirects,
// decodes bodies and reads Retry-After.
package web

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sluiceworks/sluice/platform/redact"
)

// ParseURL parses the URL of a request. Characters that are not allowed in a query, such as a space or a non-ASCII
// letter, are percent-encoded. Its errors do not contain the URL, which may hold a password.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil && strings.Contains(err.Error(), "invalid port"): // err may contain a part of a password
		return nil, errors.New("is not a URL: invalid port after the host; " +
			"in a user name or a password, percent-encode what is not a letter or a digit")
	case err != nil:
		return nil, fmt.Errorf("is not a URL: %w", redact.RequestError(err))
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("does not start with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("names no host")
	}
	u.RawQuery = encodeQuery(u.RawQuery)
	return u, nil
}

// encodeQuery percent-encodes each byte that RFC 3986 does not allow in a query, and each % that begins no escape.
func encodeQuery(query string) string {
	var b strings.Builder
	for i := range len(query) {
		c := query[i]
		broken := c == '%' && (i+2 >= len(query) || !isHex(query[i+1]) || !isHex(query[i+2]))
		if c <= ' ' || c >= 0x7f || broken || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}
