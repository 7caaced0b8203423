package definition

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// urlSettings are the settings of the built-in handlers that hold a URL, by the name of the handler.
var urlSettings = map[string]string{"http": "url", "wait": "url"}

// markURL makes the text of a setting that holds a URL encode the values that are put into it.
func markURL(uses string, with any) {
	settings, _ := with.(map[string]any)
	if t, ok := settings[urlSettings[uses]].(*template); ok {
		t.url = true
	}
}

// urlFunctions return text that belongs into a URL as it is.
var urlFunctions = []string{"urlencode", "urlraw"}

// isEncoded reports whether the author has seen to the encoding: the value consists of what urlencode and urlraw return and of text
// that is written out.
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

// urlValue encodes a value for its place in a URL: before is the URL so far, after the text that the author wrote behind it. At the
// very start the value is the beginning of the URL, with its scheme and host, and stays as it is. In the host a port and the brackets
// of an IPv6 address may stand; everywhere else each character that is not unreserved (RFC 3986) is percent-encoded. The error says
// that no encoding keeps the value in its place.
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

// checkSegment refuses a value that makes a whole segment of the path "." or "..": servers take %2E for the dot itself.
func checkSegment(before, value, after string) error {
	segment, _, _ := strings.Cut(after, "/")
	segment, _, _ = strings.Cut(segment, "?")
	segment = before[strings.LastIndexByte(before, '/')+1:] + value + segment
	if segment == "." || segment == ".." {
		return fmt.Errorf("the value is %q, which would lead out of its place in the path", value)
	}
	return nil
}

// authorityOf is the start of a text up to the end of a URL's user and host.
func authorityOf(text string) string {
	if end := strings.IndexAny(text, "/?#"); end >= 0 {
		return text[:end]
	}
	return text
}

// literalsFrom joins what the author wrote behind the expression at i, expressions left out.
func (t *template) literalsFrom(i int) string {
	var b strings.Builder
	for _, p := range t.parts[i+1:] {
		b.WriteString(p.literal)
	}
	return b.String()
}
