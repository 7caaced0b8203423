package redact

import (
	"errors"
	"net/url"
	"strings"
)

// Request returns the URL of a request for errors, logs and events: its scheme, host and path, the names of its query, and nothing
// of its user, of the query's values, and of the fragment.
func Request(u *url.URL) string {
	if u == nil {
		return ""
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, Opaque: u.Opaque}
	if u.User != nil {
		shown.User = url.User(Hidden)
	}
	if u.RawQuery != "" {
		var names []string
		for part := range strings.SplitSeq(u.RawQuery, "&") {
			name, _, hasValue := strings.Cut(part, "=")
			if !hasValue {
				name = Hidden // it may be a value by itself: /verify?TOKEN
			} else {
				name += "=" + Hidden
			}
			names = append(names, name)
		}
		shown.RawQuery = strings.Join(names, "&")
	}
	return shown.String()
}

// RequestError takes the URL out of an error of net/http or net/url: what is returned says what happened, and wraps what did.
func RequestError(err error) error {
	var failed *url.Error
	for errors.As(err, &failed) {
		err = failed.Err
	}
	return err
}
