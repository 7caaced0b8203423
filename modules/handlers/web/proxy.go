package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/http/httpproxy"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Proxy returns the proxy that the environment names for a request, or nil for none. It reads http_proxy, https_proxy
// and no_proxy, in lower or upper case, once, at the first call. It is for http.Transport.
//
// A request that needs a proxy whose URL is invalid fails permanently, because a direct request could expose it to
// those who must not see it. The error names the variable but contains nothing of its value, which may hold a
// password.
func Proxy(r *http.Request) (*url.URL, error) { return fromEnvironment().of(r.URL) }

var fromEnvironment = sync.OnceValue(func() *proxies { return newProxies(os.Getenv) })

// proxies are the proxies of an environment.
type proxies struct {
	choose func(*url.URL) (*url.URL, error)
	wrong  map[string]error // by the scheme of the request: why the named proxy is invalid
}

// unreadable replaces an invalid proxy URL, so that httpproxy still determines which requests need a proxy.
const unreadable = "http://unreadable.invalid"

func newProxies(getenv func(string) string) *proxies {
	p := &proxies{wrong: map[string]error{}}
	read := func(scheme string) string {
		name, value := lookup(getenv, scheme+"_proxy")
		proxy, err := parseProxy(value)
		if err != nil {
			p.wrong[scheme] = fmt.Errorf("the proxy in the worker's environment, %s, %w", name, err)
			return unreadable
		}
		return proxy
	}
	config := httpproxy.Config{HTTPProxy: read("http"), HTTPSProxy: read("https"), CGI: getenv("REQUEST_METHOD") != ""}
	_, config.NoProxy = lookup(getenv, "no_proxy")
	p.choose = config.ProxyFunc()
	return p
}

// lookup returns the name and value of a variable: the lower-case name or, if that is empty, the upper-case one.
func lookup(getenv func(string) string, name string) (found, value string) {
	for _, found := range []string{name, strings.ToUpper(name)} {
		if value := getenv(found); value != "" {
			return found, value
		}
	}
	return name, ""
}

var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

// parseProxy returns a proxy's URL with its scheme, which defaults to http. Its errors contain nothing of the value.
func parseProxy(value string) (string, error) {
	value = strings.TrimSpace(value)
	if value == "" {
		return "", nil
	}
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return "", errors.New(
			"is not a URL; in a user name or a password, percent-encode what is not a letter or a digit")
	case !slices.Contains(proxySchemes, u.Scheme):
		return "", fmt.Errorf("has none of the schemes %s", strings.Join(proxySchemes, ", "))
	case u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("is not of the form http://user:password@host:port; " +
			"in a user name or a password, percent-encode what is not a letter or a digit")
	}
	return value, nil
}

func (p *proxies) of(request *url.URL) (*url.URL, error) {
	proxy, err := p.choose(request)
	if wrong := p.wrong[request.Scheme]; wrong != nil && (proxy != nil || err != nil) {
		return nil, tasks.NonRetryable(wrong)
	}
	return proxy, err
}
