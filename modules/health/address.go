package health

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

const loopback = "127.0.0.1"

// Address returns the address to listen on for HOST:PORT, :PORT or PORT. Without a host it is the loopback address,
// which only programs on this machine reach. Port 0 selects a free port.
func Address(s string) (string, error) {
	if s != "" && !strings.Contains(s, ":") {
		s = ":" + s
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("expected an address such as :8080, 127.0.0.1:8080 or [::1]:8080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("invalid port %q: must be from 0 to 65535", port)
	} else if port != strconv.FormatUint(n, 10) {
		return "", fmt.Errorf("invalid port %q: write %d", port, n)
	}
	if host == "" {
		host = loopback
	}
	return net.JoinHostPort(host, port), nil
}

// isLoopback reports whether only programs on this machine reach an address.
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
