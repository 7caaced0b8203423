package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// Form2 is the first word of the parts of a seal of form 2.
const Form2 = "sluice-seal/2"

// Parts is what a seal of form 2 covers. A hash is a SHA-256 in hex, or empty if there is nothing to hash.
type Parts struct {
	Header         Header
	Input          string // hash of the input
	IdempotencyKey string
	Definition     string // hash of the run's definition
	Labels         []Label
	Events         string // hash over the history, from Digest.History
	Outputs        []Output
}

// Label is one label of an execution.
type Label struct {
	Name, Value string
}

// Output is the output of one task.
type Output struct {
	TaskExecutionID dbtype.ID
	Hash            string
}

// Hash returns the SHA-256 of a document in canonical form, in hex. It returns the empty string for an empty document
// and for null. Invalid JSON, which only a program other than sluice can have written, is hashed as a string.
func Hash(doc []byte) string {
	if len(doc) == 0 {
		return ""
	}
	c, err := dbtype.JSON(doc).Canonical()
	if err != nil {
		c = dbtype.AppendString(nil, string(doc))
	}
	if string(c) == "null" {
		return ""
	}
	sum := sha256.Sum256(c)
	return hex.EncodeToString(sum[:])
}

// Text returns the parts in the form in which they are stored and hashed: one line of JSON per part, in a fixed
// order. It sorts Labels and Outputs.
func (p *Parts) Text() string {
	slices.SortFunc(p.Labels, func(a, b Label) int {
		if n := strings.Compare(a.Name, b.Name); n != 0 {
			return n
		}
		return strings.Compare(a.Value, b.Value)
	})
	slices.SortFunc(p.Outputs,
		func(a, b Output) int { return bytes.Compare(a.TaskExecutionID[:], b.TaskExecutionID[:]) })
	b := p.Header.append(make([]byte, 0, 512+120*len(p.Outputs)), Form2)
	b = appendPart(b, "input", p.Input)
	b = appendPart(b, "idempotency_key", p.IdempotencyKey)
	b = appendPart(b, "definition", p.Definition)
	for _, l := range p.Labels {
		b = appendLine(b, "label", l.Name, l.Value)
	}
	b = appendPart(b, "events", p.Events)
	for _, o := range p.Outputs {
		b = appendLine(b, "output", o.TaskExecutionID.String(), o.Hash)
	}
	return string(b)
}

// appendPart appends a part with one value. An empty value becomes null.
func appendPart(b []byte, name, value string) []byte {
	b = append(dbtype.AppendString(append(b, '['), name), ',')
	return append(appendText(b, value), ']', '\n')
}

func appendLine(b []byte, words ...string) []byte {
	for i, w := range words {
		b = append(b, "[,"[min(i, 1)])
		b = dbtype.AppendString(b, w)
	}
	return append(b, ']', '\n')
}

// append appends the first line of the hashed text.
func (h *Header) append(b []byte, form string) []byte {
	b = dbtype.AppendString(append(b, '['), form)
	for _, s := range []string{h.PipelineExecutionID.String(), h.PipelineName, h.DefinitionVersion} {
		b = dbtype.AppendString(append(b, ','), s)
	}
	b = append(strconv.AppendInt(append(b, ','), h.Version, 10), ',')
	return append(appendText(b, h.Previous), ']', '\n')
}

// Of returns the seal of form 2: the SHA-256 of the parts' text, in hex.
func Of(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// ErrParts is returned by ReadParts for text that Parts.Text did not write.
var ErrParts = errors.New("not the parts of a seal")

// ReadParts parses the result of Parts.Text. It fails with ErrParts for any other text.
func ReadParts(text string) (*Parts, error) {
	p := &Parts{}
	for i, line := range strings.SplitAfter(text, "\n") {
		if line == "" {
			continue
		}
		if err := p.read(i, line); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrParts, i+1, err)
		}
	}
	if p.Text() != text {
		return nil, fmt.Errorf("%w: they are not in their form", ErrParts)
	}
	return p, nil
}

func (p *Parts) read(i int, line string) error {
	var words []any
	if err := jsonvalue.NewDecoder([]byte(line)).Decode(&words); err != nil {
		return err
	}
	word := func(i int) string { // a word of another type makes the comparison with Text fail
		if i >= len(words) {
			return ""
		}
		s, _ := words[i].(string)
		return s
	}
	if i == 0 {
		return p.Header.read(words, word)
	}
	switch value := word(1); word(0) {
	case "input":
		p.Input = value
	case "idempotency_key":
		p.IdempotencyKey = value
	case "definition":
		p.Definition = value
	case "label":
		p.Labels = append(p.Labels, Label{value, word(2)})
	case "events":
		p.Events = value
	case "output":
		id, err := dbtype.ParseID(value)
		if err != nil {
			return err
		}
		p.Outputs = append(p.Outputs, Output{id, word(2)})
	default:
		return fmt.Errorf("unknown part %q", word(0))
	}
	return nil
}

func (h *Header) read(words []any, word func(int) string) (err error) {
	if word(0) != Form2 {
		return fmt.Errorf("unknown form %q: expected %s", word(0), Form2)
	}
	if len(words) != 6 {
		return fmt.Errorf("%d words: expected 6", len(words))
	}
	if h.PipelineExecutionID, err = dbtype.ParseID(word(1)); err != nil {
		return err
	}
	n, _ := words[4].(json.Number)
	if h.Version, err = n.Int64(); err != nil {
		return err
	}
	h.PipelineName, h.DefinitionVersion, h.Previous = word(2), word(3), word(5)
	return nil
}
