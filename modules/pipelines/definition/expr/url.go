package expr

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// urlFunctions return text that is inserted into a URL as it is.
var urlFunctions = []string{"urlencode", "urlraw"}

// isEncoded reports whether the value is already encoded: it consists only of results of urlencode and urlraw and of
// string literals.
func isEncoded(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.StringNode:
		return true
	case *ast.CallNode:
		callee, ok := n.Callee.(*ast.IdentifierNode)
		return ok && slices.Contains(urlFunctions, callee.Value)
	case *ast.BuiltinNode:
		return slices.Contains(urlFunctions, n.Name)
	case *ast.ConditionalNode:
		return isEncoded(n.Exp1) && isEncoded(n.Exp2)
	case *ast.BinaryNode:
		return (n.Operator == "+" || n.Operator == "??") && isEncoded(n.Left) && isEncoded(n.Right)
	}
	return false
}

// urlValue encodes a value for its position in a URL. before is the URL up to the value, and after the literal text
// that follows it. A value at the very start is not encoded, because it contains the scheme and the host. In the
// host, a port and the brackets of an IPv6 address are kept. Elsewhere each character that is not unreserved (RFC
// 3986) is percent-encoded. The error is for a value that no encoding keeps in its position.
func urlValue(before, value, after string) (string, error) {
	if before == "" {
		return value, nil
	}
	encoded := strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
	_, rest, hasScheme := strings.Cut(before, "://")
	switch {
	case !hasScheme || strings.ContainsAny(before, "?#"):
		return encoded, nil
	case strings.ContainsRune(rest, '/'):
		return encoded, checkSegment(rest, value, after)
	case strings.ContainsRune(authorityOf(after), '@'):
		return encoded, nil
	}
	return hostPart.Replace(encoded), nil
}

var hostPart = strings.NewReplacer("%3A", ":", "%5B", "[", "%5D", "]")

// checkSegment refuses a value that makes a whole path segment "." or "..", because servers treat %2E like a dot.
func checkSegment(before, value, after string) error {
	segment, _, _ := strings.Cut(after, "/")
	segment, _, _ = strings.Cut(segment, "?")
	segment = before[strings.LastIndexByte(before, '/')+1:] + value + segment
	if segment == "." || segment == ".." {
		return fmt.Errorf("the value is %q, which would lead out of its place in the path", value)
	}
	return nil
}

// authorityOf returns the start of a text up to the end of a URL's user and host.
func authorityOf(text string) string {
	if end := strings.IndexAny(text, "/?#"); end >= 0 {
		return text[:end]
	}
	return text
}
