package terminal

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jedib0t/go-pretty/v6/text"
)

// hostile maps texts that data may contain to what a person should see of them in a text of several lines.
var hostile = map[string]string{
	"plain text, a tab\tand\nlines":    "plain text, a tab\tand\nlines",
	"\x1b[2J\x1b[1;1H":                 `\x1b[2J\x1b[1;1H`,
	"\x1b]52;c;ZXZpbA==\a":             `\x1b]52;c;ZXZpbA==\x07`,
	"\x1b[31mred\x1b[0m":               `\x1b[31mred\x1b[0m`,
	"hidden\rshown":                    `hidden\rshown`,
	"a line of Windows\r\n":            "a line of Windows\n",
	"\u009b2J\u0085":                   `\u009b2J\u0085`,
	"\x9b2J":                           `\x9b2J`,
	"a\xffb\xe2\x82":                   `a\xffb\xe2\x82`,
	"\u202egpj.exe\u2066\u2069":        `\u202egpj.exe\u2066\u2069`,
	"\u200e\u200f\u061c":               `\u200e\u200f\u061c`,
	"pass\u200bword\ufeff\u00ad\u2060": `pass\u200bword\ufeff\u00ad\u2060`,
	"a\u200db\u200c":                   `a\u200db\u200c`,
	"\u2028\u2029":                     `\u2028\u2029`,
	"\U000e0041":                       `\U000e0041`,
	"\x7f\x00\v":                       `\x7f\x00\x0b`,
	"日本語 é ñ €":                        "日本語 é ñ €",
	"👩\u200d🚀":                         "👩\u200d🚀",
	"می\u200cخواهم":                    "می\u200cخواهم",
}

// TestWriter checks that data is escaped however its bytes are split into writes.
func TestWriter(t *testing.T) {
	t.Parallel()
	for given, want := range hostile {
		given, want = "a "+given+" z", "a "+want+" z"
		for name, from := range map[string]io.Reader{
			"at once": strings.NewReader(given), "byte by byte": iotest.OneByteReader(strings.NewReader(given)),
			"halves": iotest.HalfReader(strings.NewReader(given)),
		} {
			if name != "at once" && strings.ContainsAny(given, "\r\u200d\u200c") {
				continue // these depend on their neighbours
			}
			var out bytes.Buffer
			w := New(&out)
			if _, err := io.Copy(w, from); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if out.String() != want {
				t.Errorf("%q, %s: %q, want %q", given, name, out.String(), want)
			}
		}
		inline := strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(want)
		if strings.Contains(given, "\r\n") {
			inline = strings.Replace(inline, `\n`, `\r\n`, 1)
		}
		if got := Inline(given); got != inline {
			t.Errorf("Inline(%q) is %q, want %q", given, got, inline)
		}
	}
}

// TestPaint checks that colours are written, however they are split into writes, and that data cannot produce
// colours.
func TestPaint(t *testing.T) {
	t.Parallel()
	painted := "x " + Paint("31", "Failed") + " \x1b[32mforged\x1b[0m"
	const want = "x \x1b[31mFailed\x1b[0m " + `\x1b[32mforged\x1b[0m`
	for size := 1; size <= len(painted); size++ {
		var out bytes.Buffer
		w := New(&out)
		for rest := painted; rest != ""; {
			n := min(size, len(rest))
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil || out.String() != want {
			t.Errorf("in pieces of %d: %v, %q, want %q", size, err, out.String(), want)
		}
	}
	if got := Inline(painted); got != strings.NewReplacer("\x1b[32m", `\x1b[32m`, "\x1b[0m", `\x1b[0m`).
		Replace(painted) {
		t.Errorf("Inline: %q", got)
	}
	if n := text.StringWidthWithoutEscSequences(Paint("31", "Failed")); n != len("Failed") {
		t.Errorf("a painted word of 6 is %d wide", n)
	}
}

// TestRedraw checks that the cursor sequence is written unchanged, and that the text after it is escaped.
func TestRedraw(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := New(&out).Redraw("\r\x1b[K", "half \x1b[2J"); err != nil || out.String() != "\r\x1b[Khalf "+`\x1b[2J` {
		t.Errorf("%v %q", err, out.String())
	}
}

// TestJSON checks that a document keeps its meaning and has no characters that a terminal interprets.
func TestJSON(t *testing.T) {
	t.Parallel()
	for given := range hostile {
		given = strings.ToValidUTF8(given, "?")
		doc, err := json.MarshalIndent(map[string]string{given: given}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		safe := JSON(doc)
		var back map[string]string
		if err := json.Unmarshal(safe, &back); err != nil || back[given] != given {
			t.Errorf("%q: %v, %q", given, err, safe)
		}
		for _, r := range string(safe) {
			if hidden(r) && r != '\n' {
				t.Errorf("%q still holds %q", safe, r)
			}
		}
	}
}

// TestData checks that programs get every byte.
func TestData(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if _, err := io.WriteString(New(&out).Data(), "\x1b[2J\r\xff"); err != nil || out.String() != "\x1b[2J\r\xff" {
		t.Errorf("%v %q", err, out.String())
	}
}
