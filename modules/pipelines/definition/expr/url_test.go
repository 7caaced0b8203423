package expr_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
)

// url evaluates a text as a URL. The input field v has the value v, and n is 1.5.
func url(t *testing.T, text, v string) (string, error) {
	t.Helper()
	input, err := json.Marshal(map[string]any{"v": v, "n": 1.5})
	if err != nil {
		t.Fatal(err)
	}
	s := expr.NewScope(nil, func(string) bool { return false }, func(string, []string) string { return "" })
	s.Enter(nil)
	parts, wrong := expr.Split(text)
	if wrong != nil {
		t.Fatalf("%s: %+v", text, wrong)
	}
	u := expr.Template{URL: true}
	for _, p := range parts {
		if !p.IsExpression {
			u.AddLiteral(p.Literal)
		} else if e, wrong := s.Compile(p.Source); wrong != nil {
			t.Fatalf("%s: %+v", text, wrong)
		} else {
			u.AddExpression(e)
		}
	}
	e := expr.NewEvaluation(t.Context(), &expr.Values{Input: input})
	defer e.Close()
	return e.Text(&u)
}

// TestURLValues checks that a value stays in its position in the URL, whatever it contains.
func TestURLValues(t *testing.T) {
	for _, c := range []struct{ text, v, want string }{
		{"${{ input.v }}", "https://h/a?b=c#d", "https://h/a?b=c#d"},
		{"${{ input.v }}/x?q=${{ input.v }}", "https://h", "https://h/x?q=https%3A%2F%2Fh"},
		{"https://h/s?q=${{ input.v }}", "a HTTP/1.0&admin=1#x", "https://h/s?q=a%20HTTP%2F1.0%26admin%3D1%23x"},
		{"https://h/s?q=${{ input.v }}&n=${{ input.n }}", "é+%", "https://h/s?q=%C3%A9%2B%25&n=1.5"},
		{"https://h/items/${{ input.v }}/x", "a/../../b?c", "https://h/items/a%2F..%2F..%2Fb%3Fc/x"},
		{"https://h/items/${{ input.v }}", "a-b_c.d~e", "https://h/items/a-b_c.d~e"},
		{"https://h/items/x${{ input.v }}", "..", "https://h/items/x.."},
		{"https://h/#${{ input.v }}", "a b", "https://h/#a%20b"},
		{"https://${{ input.v }}/x", "db.example.com:8080", "https://db.example.com:8080/x"},
		{"https://${{ input.v }}/x", "[::1]:80", "https://[::1]:80/x"},
		{"https://${{ input.v }}/x", "good.com/@evil.com", "https://good.com%2F%40evil.com/x"},
		{"https://${{ input.v }}.example.com/x", "evil.com?", "https://evil.com%3F.example.com/x"},
		{"https://me:${{ input.v }}@h/x", "p@ss:w/rd", "https://me:p%40ss%3Aw%2Frd@h/x"},
		{"https://h/?q=${{ urlencode(input.v) }}", "a b", "https://h/?q=a%20b"},
		{"https://h/${{ urlraw(input.v) }}", "a/b?c=d", "https://h/a/b?c=d"},
		{`https://h/?${{ "q=" + urlencode(input.v) }}`, "a&b", "https://h/?q=a%26b"},
		{`https://h/?${{ input.n == 1.5 ? "a=b" : urlraw(input.v) }}`, "x", "https://h/?a=b"},
		{`https://h/?${{ input.n == 1.5 ? input.v : "" }}`, "a=b", "https://h/?a%3Db"},
	} {
		if got, err := url(t, c.text, c.v); err != nil || got != c.want {
			t.Errorf("%s with %q is %s (%v), want %s", c.text, c.v, got, err, c.want)
		}
	}
	for _, dots := range []string{".", ".."} {
		if got, err := url(t, "https://h/items/${{ input.v }}/x", dots); err == nil ||
			!strings.Contains(err.Error(), "out of its place") {
			t.Errorf("%q: %s, %v", dots, got, err)
		}
	}
}

// TestLongURL checks that a URL of very many expressions is refused before it takes much time.
func TestLongURL(t *testing.T) {
	if _, err := url(t, "https://h/?q="+strings.Repeat(`${{ input.n }}`, 20_000), ""); err == nil ||
		!strings.Contains(err.Error(), "too expensive") {
		t.Errorf("got %v", err)
	}
}
