package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProxyPassword checks that a proxy's password is shown nowhere, whatever the proxy's URL and however the request
// ends, and that a request that needs a proxy is never sent without it.
func TestProxyPassword(t *testing.T) {
	t.Parallel()
	refuses := refusingProxy(t)
	each(t, func(t *testing.T, p program) {
		path := filepath.Join(t.TempDir(), "proxied.yaml")
		text := "name: proxied\ndefaults: {retry: {max_attempts: 2, backoff: fixed, delay: 1ms, jitter: 0}}\ntasks:\n" +
			"  - {id: plain, uses: http, with: {url: 'http://sluice.invalid/x', timeout: 20s}}\n" +
			"  - {id: secure, uses: http, with: {url: 'https://sluice.invalid/x', timeout: 20s}}\n" +
			"  - {id: waits, uses: wait, with: {url: 'https://sluice.invalid/x', every: 100ms, for: 1s}}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var said string
		for form, words := range map[string]string{
			"http://user:S3cr3tWord@" + refuses:       "Proxy Authentication Required",
			"user:S3cr3tWord@" + refuses:              "Proxy Authentication Required",
			"http://user:S3cr3tWord@127.0.0.1:1":      "connection refused",
			"socks5://user:S3cr3tWord@127.0.0.1:1":    "connection refused",
			"http://user:S3cr3tWord@" + refuses + "x": "is not a URL",
			"http://user:S3cr3tWord%zz@" + refuses:    "is not a URL",
			"http://user:1/S3cr3tWord@" + refuses:     "is not of the form",
			"gopher://user:S3cr3tWord@" + refuses:     "has none of the schemes",
		} {
			run := p.beginIn(t, []string{"HTTP_PROXY=" + form, "HTTPS_PROXY=" + form}, "run", path, "--log-level",
				"debug")
			if code := run.wait(t); code != 1 {
				t.Errorf("run: exit code %d", code)
			}
			said += run.stderr.String()
			shown := p.ok(t, "show", "latest", "-o", "json")
			if strings.Count(shown, words) < 3 {
				t.Errorf("%s: not %q for each task:\n%s", form, words, shown)
			}
			unread := strings.HasPrefix(words, "is ") || strings.HasPrefix(words, "has ")
			if n := strings.Count(shown, `"error_kind": "permanent"`); unread && n < 3 {
				t.Errorf("%s: %d errors are permanent\n%s", form, n, shown)
			}
			if unread && !(strings.Contains(shown, "HTTP_PROXY") && strings.Contains(shown, "HTTPS_PROXY")) {
				t.Errorf("%s: the variable is not named\n%s", form, shown)
			}
		}
		for what, text := range map[string]string{
			"events": p.ok(t, "events", "-o", "json"), "export": p.ok(t, "export", "--all"), "log": said,
		} {
			for _, secret := range []string{"S3cr3tWord", "dXNlcjpTM2NyM3RXb3Jk"} { // and as it is in a header
				if strings.Contains(text, secret) {
					t.Errorf("%s holds the password:\n%s", what, text)
				}
			}
		}
	})
}

// refusingProxy answers every request with 407.
func refusingProxy(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				lines := bufio.NewScanner(conn)
				for lines.Scan() && lines.Text() != "" {
				}
				_, _ = fmt.Fprint(conn,
					"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}()
		}
	}()
	return l.Addr().String()
}
