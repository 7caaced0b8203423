package main

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestPasswordIsNotShown checks that neither the log of serve nor an error shows the password, wherever the database
// is set.
func TestPasswordIsNotShown(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(dbtest.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	user, host, port, name := u.User.Username(), u.Hostname(), u.Port(), strings.TrimPrefix(u.Path, "/")
	for place, form := range map[string]string{ // the tests' server needs no password
		"user":        fmt.Sprintf("postgres://%s:topsecret@%%s/%s?sslmode=disable", user, name),
		"query":       fmt.Sprintf("postgres://%%s/%s?sslmode=disable&user=%s&password=topsecret", name, user),
		"first":       fmt.Sprintf("postgresql://%s@%%s/%s?password=topsecret&sslmode=disable", user, name),
		"certificate": fmt.Sprintf("postgres://%s@%%s/%s?sslmode=disable&sslpassword=topsecret", user, name),
	} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			serve := program{path, fmt.Sprintf(form, net.JoinHostPort(host, port))}.begin(t, "serve")
			dbtest.Eventually(t, "serving",
				func() bool { return strings.Contains(serve.stderr.String(), `"msg":"serving"`) })
			serve.signal(syscall.SIGTERM)
			serve.wait(t)
			_, _, stderr := program{path, fmt.Sprintf(form, "127.0.0.1:1")}.run(t, "list")
			for _, text := range []string{serve.stderr.String(), stderr} {
				if !strings.Contains(text, name) || strings.Contains(text, "topsecret") {
					t.Errorf("the password shows, or not even the database:\n%s", text)
				}
			}
		})
	}
}
