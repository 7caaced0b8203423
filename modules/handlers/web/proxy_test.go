package web

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// TestProxies checks which proxy a request uses, and which requests fail because of an invalid proxy.
func TestProxies(t *testing.T) {
	t.Parallel()
	const plain, secure = "http://a.example/x", "https://a.example/x"
	for _, c := range []struct {
		env           string // NAME=value, separated by spaces
		request, want string // want: the proxy, or ! and the start of an error
	}{
		{"", plain, ""},
		{"http_proxy=http://u:p4ss@p:1", plain, "http://u:p4ss@p:1"},
		{"http_proxy=u:p4ss@p:1", plain, "http://u:p4ss@p:1"},
		{"HTTP_PROXY=socks5://p:1 http_proxy=", plain, "socks5://p:1"},
		{"HTTP_PROXY=http://p:1 http_proxy=http://q:1", plain, "http://q:1"},
		{"http_proxy=http://p:1", secure, ""},
		{"HTTPS_PROXY=https://p:1/", secure, "https://p:1/"},
		{"HTTPS_PROXY=http://p:1 no_proxy=a.example", secure, ""},
		{"HTTP_PROXY=http://u:p4ss@p:1x", plain, "!the proxy in the worker's environment, HTTP_PROXY, is not a URL"},
		{"http_proxy=http://u:p4ss%zz@p:1", plain, "!the proxy in the worker's environment, http_proxy, is not a URL"},
		{
			"http_proxy=http://u:p4ss/word@p:1", plain,
			"!the proxy in the worker's environment, http_proxy, is not a URL",
		},
		{
			"https_proxy=http://u:1/p4ss@p:1", secure,
			"!the proxy in the worker's environment, https_proxy, is not of the form",
		},
		{
			"https_proxy=http://u:1?p4ss@p:1", secure,
			"!the proxy in the worker's environment, https_proxy, is not of the form",
		},
		{
			"https_proxy=http://u:1#p4ss@p:1", secure,
			"!the proxy in the worker's environment, https_proxy, is not of the form",
		},
		{
			"https_proxy=ftp://u:p4ss@p:1", secure,
			"!the proxy in the worker's environment, https_proxy, has none of the schemes http,",
		},
		{
			"https_proxy=http://u:p4ss@", secure,
			"!the proxy in the worker's environment, https_proxy, is not of the form",
		},
		{"https_proxy=http://u:p4ss@p:1x", plain, ""},
		{"http_proxy=http://u:p4ss@p:1x no_proxy=.example", plain, ""},
		{"http_proxy=http://u:p4ss@p:1x", "http://127.0.0.1:1/", ""},
	} {
		env := map[string]string{}
		for setting := range strings.FieldsSeq(c.env) {
			name, value, _ := strings.Cut(setting, "=")
			env[name] = value
		}
		request, err := url.Parse(c.request)
		if err != nil {
			t.Fatal(err)
		}
		got, err := newProxies(func(name string) string { return env[name] }).of(request)
		var failed *tasks.HandlerError
		want, fails := strings.CutPrefix(c.want, "!")
		switch {
		case fails && (!errors.As(err, &failed) || failed.Kind != tasks.KindPermanent ||
			!strings.HasPrefix(err.Error(), want)):
			t.Errorf("%s: got %v, %v", c.env, got, err)
		case fails && strings.Contains(err.Error(), "p4ss"):
			t.Errorf("%s: %v", c.env, err)
		case !fails && (err != nil || want != "" && (got == nil || got.String() != want) || want == "" && got != nil):
			t.Errorf("%s: got %v, %v", c.env, got, err)
		}
	}
}
