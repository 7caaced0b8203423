package health

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

const loopback = "127.0.0.1"

// Address reads an address to listen on: HOST:PORT, or :PORT or PORT alone, which mean this machine's own programs only. Port 0
// takes a free one.
func Address(s string) (string, error) {
	if s != "" && !strings.Contains(s, ":") {
		s = ":" + s
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("expected an address such as :8080, 127.0.0.1:8080 or [::1]:8080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("%q is no port from 0 to 65535", port)
	} else if port != strconv.FormatUint(n, 10) {
		return "", fmt.Errorf("%q is no port: write %d", port, n)
	}
	if host == "" {
		host = loopback
	}
	return net.JoinHostPort(host, port), nil
}

// isLoopback reports whether only this machine's own programs reach an address.
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
