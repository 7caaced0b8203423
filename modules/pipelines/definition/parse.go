package definition

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

// MaxFile is the maximum size in bytes of the source of a pipeline.
const MaxFile = 1 << 20

// Parse parses a pipeline from YAML and does everything that Check does. Mistakes are reported under the name file. The
// error is of type Diagnostics and contains every mistake, up to a thousand, with its line, its column and usually a
// hint. If c is nil, handlers are not checked.
func Parse(file string, src []byte, c HandlerSource) (*Definition, error) {
	r := &decoder{file: file, source: src}
	if root := r.document(); root != nil {
		r.root = root
		if d, ok := r.pipeline(root); ok {
			d.check(r, c)
			if len(r.list) == 0 {
				d.warnings = r.warnings
				return d, nil
			}
		}
	}
	return nil, r.err()
}

// document returns the root of the only document, or nil after reporting a mistake that prevents further checks.
func (r *decoder) document() *yaml.Node {
	r.source = bytes.TrimPrefix(r.source, []byte("\ufeff"))
	if len(r.source) > MaxFile {
		r.append(1, 1, nil, "", "the file has "+strconv.Itoa(len(r.source))+" bytes, more than the limit of "+
			strconv.Itoa(MaxFile))
		return nil
	}
	if at := jsonvalue.InvalidUTF8(r.source); at >= 0 {
		line, column := r.lineColumn(at)
		r.append(line, column, nil, "save the file as UTF-8", "the file is not valid UTF-8")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(r.source))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		r.append(1, 1, nil, "a pipeline has a name and tasks", "the file is empty")
		return nil
	case err != nil:
		r.syntax(err)
		return nil
	}
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.syntax(err)
		return nil
	default:
		r.addAt(&second, nil, "write each pipeline into its own file", "a second document begins here")
		return nil
	}
	root := doc.Content[0]
	if r.rejectUnsupported(root, 0); len(r.list) > 0 {
		return nil
	}
	if root = r.expand(root); root == nil {
		return nil
	}
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		r.append(1, 1, nil, "a pipeline has a name and tasks", "the file is empty")
		return nil
	}
	return root
}

func (r *decoder) lineColumn(offset int) (line, column int) {
	before := r.source[:offset]
	last := before[bytes.LastIndexByte(before, '\n')+1:]
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(last) + 1
}

// rejectUnsupported reports what no pipeline may contain: tags, which could create values that JSON cannot represent,
// NUL bytes, and nesting that is too deep.
func (r *decoder) rejectUnsupported(n *yaml.Node, depth int) {
	switch {
	case depth > jsonvalue.MaxDepth:
		r.append(n.Line, n.Column, nil, "", "this is nested deeper than "+strconv.Itoa(jsonvalue.MaxDepth))
		return
	case n.Style&yaml.TaggedStyle != 0:
		r.append(n.Line, n.Column, nil, "put a text that begins with ! into quotes", "tags ("+n.Tag+
			") are not supported")
	case strings.IndexByte(n.Value, 0) >= 0:
		r.append(n.Line, n.Column, nil, "", "this text holds a NUL byte")
	}
	for _, c := range n.Content {
		r.rejectUnsupported(c, depth+1)
	}
}

var (
	syntaxLine = regexp.MustCompile(`^(?:yaml: )?(?:line ([0-9]+): )?(?:yaml: )?`)
	// For these errors the parser returns only the line before the one in which the block begins.
	blockError = regexp.MustCompile(`^did not find expected ('-'|key|','|node content)`)
)

// syntax reports an error of the YAML parser. The parser returns at most a line, and none for a mistake in the first
// line.
func (r *decoder) syntax(err error) {
	text := err.Error()
	m := syntaxLine.FindStringSubmatch(text)
	text = text[len(m[0]):]
	lines := strings.Split(string(r.source), "\n")
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
	r.append(at, utf8.RuneCountInString(here[:column])+1, nil, hint, "this is not YAML: "+text)
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
