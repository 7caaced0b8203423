package redact

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// TestDatabase checks that no form of a database's URL, valid or not, keeps its password.
func TestDatabase(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"postgres://app@db/x":                                 "postgres://app@db/x",
		"postgres://app:Hj8cv73@db:5432/x?sslmode=disable":    "postgres://app:xxxxx@db:5432/x?sslmode=disable",
		"postgres://app:Hj8@cv73@db/x":                        "postgres://app:xxxxx@db/x",
		"postgres://app:Hj8/cv73@db/x":                        "postgres://app:xxxxx@db/x",
		"postgres://app:Hj8?cv73@db/x":                        "postgres://app:xxxxx@db/x",
		"postgres://app:Hj8#cv73@db/x":                        "postgres://app:xxxxx@db/x",
		"postgres://app:%48j8%zzcv73@db/x":                    "postgres://app:xxxxx@db/x",
		"postgres://db/x?user=app&password=Hj8cv73":           "postgres://db/x?user=app&password=xxxxx",
		"postgres://db/x?sslpassword=Hj8cv73&sslmode=require": "postgres://db/x?sslpassword=xxxxx&sslmode=require",
		"postgres://db/x?PASSWORD=Hj8cv73":                    "postgres://db/x?PASSWORD=xxxxx",
		"postgres://a:Hj8cv73@h1,h2/x?password=Hj8cv73":       "postgres://a:xxxxx@h1,h2/x?password=xxxxx",
		"postgres://db/x?application_name=a@b":                "postgres://db/x?application_name=a@b",
		"host=db user=app password=Hj8cv73 dbname=x":          "host=db user=app password=xxxxx dbname=x",
		`host=db password='Hj8 cv73\' Hj8' dbname=x`:          "host=db password=xxxxx dbname=x",
		"password = Hj8cv73 host=db":                          "password = xxxxx host=db",
		"postgres:/app:Hj8cv73@db/x":                          "xxxxx@db/x",
		"app:Hj8cv73@db/x":                                    "xxxxx@db/x",
		"sqlite:///var/lib/a:b@c.db":                          "sqlite:///var/lib/a:b@c.db",
		"":                                                    "",
	} {
		if got := Database(given); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

// TestText checks that a driver's message about a URL loses the URL's secrets, as written and decoded.
func TestText(t *testing.T) {
	t.Parallel()
	const raw = "postgres://app:Hj8%20cv73@db/x?sslpassword=Tk9%2Bq"
	got := Text("cannot use Hj8 cv73, Hj8%20cv73, Tk9+q or Tk9%2Bq", raw)
	if got != "cannot use xxxxx, xxxxx, xxxxx or xxxxx" {
		t.Error(got)
	}
	if got := Text("cannot use Hj8ccv73", "postgres://app:Hj8c@db/x?sslpassword=Hj8ccv73"); got != "cannot use xxxxx" {
		t.Errorf("of two passwords that begin alike: %s", got)
	}
}

// TestRequest checks that only the scheme, the host, the path and the names in the query are shown.
func TestRequest(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"https://api.test/v1/x":                          "https://api.test/v1/x",
		"https://u:s3cret@api.test:8443/v1?token=s3cret": "https://xxxxx@api.test:8443/v1?token=xxxxx",
		"https://s3cret@api.test/":                       "https://xxxxx@api.test/",
		"https://api.test/?a=s3cret&b=s3cret&s3cret":     "https://api.test/?a=xxxxx&b=xxxxx&xxxxx",
		"https://api.test/a%2Fb#s3cret":                  "https://api.test/a%2Fb",
	} {
		u, err := url.Parse(given)
		if err != nil {
			t.Fatal(err)
		}
		if got := Request(u); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

// TestRequestError checks that the URL that net/http repeats in its errors is removed, and that the cause is kept.
func TestRequestError(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection refused")
	err := RequestError(fmt.Errorf("try: %w",
		&url.Error{Op: "Get", URL: "http://h/?token=s3cret", Err: &url.Error{Op: "parse", URL: "s3cret", Err: cause}}))
	if !errors.Is(err, cause) || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
}
