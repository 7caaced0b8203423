package redact

import (
	"errors"
	"net/url"
	"strings"
)

// Request returns the URL of a request for errors, logs and events. It keeps the scheme, the host, the path and the
// names in the query, and hides the user, the query's values and the fragment.
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
				name = Hidden // it may itself be a value: /verify?TOKEN
			} else {
				name += "=" + Hidden
			}
			names = append(names, name)
		}
		shown.RawQuery = strings.Join(names, "&")
	}
	return shown.String()
}

// RequestError removes the URL from an error of net/http or net/url. It returns the error that url.Error wraps.
func RequestError(err error) error {
	var failed *url.Error
	for errors.As(err, &failed) {
		err = failed.Err
	}
	return err
}
