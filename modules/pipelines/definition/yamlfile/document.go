package yamlfile

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// Document decodes the only document in src, which has at most maxBytes bytes, and returns its root without aliases
// and merge keys. It returns nil after reporting a mistake that prevents further checks. It is called once.
func (d *Decoder) Document(src []byte, maxBytes int) *yaml.Node {
	d.source = bytes.TrimPrefix(src, []byte("\ufeff"))
	if len(d.source) > maxBytes {
		d.append(1, 1, nil, "", "the file has "+strconv.Itoa(len(d.source))+" bytes, more than the limit of "+
			strconv.Itoa(maxBytes))
		return nil
	}
	if at := jsonvalue.InvalidUTF8(d.source); at >= 0 {
		line, column := d.lineColumn(at)
		d.append(line, column, nil, "save the file as UTF-8", "the file is not valid UTF-8")
		return nil
	}
	root := d.decode()
	if root == nil {
		return nil
	}
	if d.rejectUnsupported(root, 0); len(d.list) > 0 {
		return nil
	}
	if root = d.expand(root); root == nil {
		return nil
	}
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		d.append(1, 1, nil, emptyHint, "the file is empty")
		return nil
	}
	d.root = root
	return root
}

const emptyHint = "a pipeline has a name and tasks"

// decode returns the root of the only document, or nil after reporting a mistake.
func (d *Decoder) decode() *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(d.source))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		d.append(1, 1, nil, emptyHint, "the file is empty")
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
		return doc.Content[0]
	case err != nil:
		d.syntax(err)
	default:
		d.AddAt(&second, nil, "write each pipeline into its own file", "a second document begins here")
	}
	return nil
}

func (d *Decoder) lineColumn(offset int) (line, column int) {
	before := d.source[:offset]
	last := before[bytes.LastIndexByte(before, '\n')+1:]
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(last) + 1
}

// rejectUnsupported reports what no pipeline may contain: tags, which could create values that JSON cannot represent,
// NUL bytes, and nesting that is too deep.
func (d *Decoder) rejectUnsupported(n *yaml.Node, depth int) {
	switch {
	case depth > jsonvalue.MaxDepth:
		d.append(n.Line, n.Column, nil, "", "this is nested deeper than "+strconv.Itoa(jsonvalue.MaxDepth))
		return
	case n.Style&yaml.TaggedStyle != 0:
		d.append(n.Line, n.Column, nil, "put a text that begins with ! into quotes", "tags ("+n.Tag+
			") are not supported")
	case strings.IndexByte(n.Value, 0) >= 0:
		d.append(n.Line, n.Column, nil, "", "this text holds a NUL byte")
	}
	for _, c := range n.Content {
		d.rejectUnsupported(c, depth+1)
	}
}

var (
	syntaxLine = regexp.MustCompile(`^(?:yaml: )?(?:line ([0-9]+): )?(?:yaml: )?`)
	// For these errors the parser returns only the line before the one in which the block begins.
	blockError = regexp.MustCompile(`^did not find expected ('-'|key|','|node content)`)
)

// syntax reports an error of the YAML parser. The parser returns at most a line, and none for a mistake in the first
// line.
func (d *Decoder) syntax(err error) {
	text := err.Error()
	m := syntaxLine.FindStringSubmatch(text)
	text = text[len(m[0]):]
	lines := strings.Split(string(d.source), "\n")
	at, _ := strconv.Atoi(m[1])
	hint, sign := "", ""
	switch {
	case blockError.MatchString(text):
		text += " in the block around here"
		at++
		if n := slices.IndexFunc(lines[min(max(at-1, 0), len(lines)-1):], unquotedExpression); m[1] != "" && n >= 0 {
			at, hint, sign = at+n, "put a text with ${{ }} into quotes", open
		}
	case strings.Contains(text, "cannot start any token"):
		if n := slices.IndexFunc(lines, func(s string) bool { return strings.Contains(indentation(s), "\t") }); n >= 0 {
			at, text, hint, sign = n+1, "a tab cannot indent", "use spaces", "\t"
		}
	case strings.Contains(text, "mapping values are not allowed"):
		hint = "quote the value, or write run: | and the command below it"
	}
	at = min(max(at, 1), len(lines))
	here := lines[at-1]
	column := len(indentation(here))
	if sign != "" {
		column = strings.Index(here, sign)
	}
	d.append(at, utf8.RuneCountInString(here[:column])+1, nil, hint, "this is not YAML: "+text)
}

const open = "${{" // begins an expression

// unquotedExpression reports whether a line probably contains an unquoted ${{ within { } or [ ], where it must be
// quoted.
func unquotedExpression(line string) bool {
	before, _, found := strings.Cut(line, open)
	return found && strings.ContainsAny(before, "{[") && strings.Count(before, `"`)%2 == 0 &&
		strings.Count(before, "'")%2 == 0
}

func indentation(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " \t"))] }
