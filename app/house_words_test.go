package app_test

import (
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// retired are words that identifiers once used in a meaning of their own, with the field's term for it. Tests may use
// them, because some are names of data.
var retired = map[string]string{
	"look": "poll, scan or refresh", "looks": "polls", "room": "capacity", "rooms": "capacities", "told": "notified",
	"tells": "notifies", "telling": "reporting", "horizon": "open transactions", "frontier": "watermark",
	"pledge": "barrier", "stray": "orphan", "strays": "orphans", "stranger": "foreign", "strangers": "foreign",
	"crowd": "isolate", "crowded": "saturated", "squeeze": "detectSaturation", "scout": "pollScheduler",
	"seat": "member", "seats": "members", "heard": "handle", "switchboard": "listener", "doubtful": "in doubt",
	"arise": "markInDoubt", "dispel": "clearInDoubt", "beginnings": "start times", "fleet": "pools or processes",
	"haunt": "zombie", "mend": "heal", "kin": "shape", "turned": "result", "turning": "exchanges",
	"crew": "processes", "patience": "timeout", "surroundings": "tasksToLoad", "witness": "commit probe",
}

// superlative matches a bound that is not called min or max.
var superlative = regexp.MustCompile(`^(most|least)[A-Z]`)

// TestRetiredWords checks that no identifier of the program's own code has a retired word, and that docs/glossary.md
// defines none of them and has at most 30 words.
func TestRetiredWords(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, id := range declared(s.tree) {
			checked++
			for _, word := range wordsOf(id.Name) {
				if better := retired[word]; better != "" {
					t.Errorf("%s: %s has the word %q: use %s", s.at(id), id.Name, word, better)
				}
			}
			if superlative.MatchString(id.Name) {
				t.Errorf("%s: call %s min… or max…", s.at(id), id.Name)
			}
		}
	}
	if checked < 5000 {
		t.Errorf("only %d identifiers were checked", checked)
	}
	glossary, err := os.ReadFile("../docs/glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	entries := 0
	for line := range strings.Lines(string(glossary)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || strings.HasPrefix(line, "|---") || strings.TrimSpace(cells[1]) == "word" {
			continue
		}
		entries++
		for word := range strings.FieldsFuncSeq(cells[1], func(r rune) bool { return !unicode.IsLetter(r) }) {
			if retired[word] != "" {
				t.Errorf("the glossary defines the retired word %q", word)
			}
		}
	}
	if entries < 20 || entries > 30 {
		t.Errorf("the glossary has %d words, want 20 to 30", entries)
	}
}

// declared returns the identifiers that a file declares: types, functions, methods, fields, parameters, constants and
// variables.
func declared(file *ast.File) (list []*ast.Ident) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			list = append(list, n.Name)
		case *ast.TypeSpec:
			list = append(list, n.Name)
		case *ast.ValueSpec:
			list = append(list, n.Names...)
		case *ast.Field:
			list = append(list, n.Names...)
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE {
					list = append(list, id)
				}
			}
		}
		return true
	})
	return list
}

// wordsOf splits an identifier into its words, in lower case.
func wordsOf(name string) (words []string) {
	start := 0
	runes := []rune(name)
	for i := 1; i <= len(runes); i++ {
		if i == len(runes) || unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1]) {
			words = append(words, strings.ToLower(string(runes[start:i])))
			start = i
		}
	}
	return words
}
