package shellquote

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Bounds on a script that is searched for reparsed texts. The parser's time and stack grow with the nesting.
const (
	maxReparse  = 16 << 10 // bytes
	maxBrackets = 1000     // opening ones
)

// Reparsed finds the parameters in a script that become part of a text that a shell parses as code once more: the
// arguments of eval, trap, sh -c, su -c and ssh, and what a shell reads from a here-document or a pipe. It does not
// follow variables, and finds nothing in a script that cannot be parsed or is too large to be searched.
//
// known reports which parameters to find. found is called with a parameter's name, the program that parses the text,
// and a hint how to pass the value instead.
func Reparsed(script string, known func(name string) bool, found func(name, program, hint string)) {
	if mayReparse(script) {
		r := reparsed{known, found}
		r.search(script)
	}
}

type reparsed struct {
	known func(name string) bool
	found func(name, program, hint string)
}

const (
	evalHint     = `give it a name in env: and have the text name it in single quotes, such as 'echo "$NAME"'`
	argumentHint = `pass it as an argument, such as sh -c 'echo "$1"' sh ${{ … }}, or give it a name in env: ` +
		`and use "$NAME" in single quotes`
	sshHint   = `pass it on standard input, such as printf '%s\n' ${{ … }} | ssh HOST 'IFS= read -r v; echo "$v"'`
	stdinHint = `give it a name in env: and have the text say "$NAME" for that shell to expand; ` +
		`quote the end of a here-document, as in <<'EOF'`
)

// mayReparse is a cheap check. If it returns false, search finds nothing or the script is too large to be searched.
func mayReparse(script string) bool {
	if len(script) > maxReparse || strings.Count(script, "(")+strings.Count(script, "{") > maxBrackets {
		return false
	}
	programs := []string{"sh", "eval", "trap", "su", "runuser"}
	return slices.ContainsFunc(programs, func(name string) bool { return strings.Contains(script, name) })
}

// search searches a script.
func (r *reparsed) search(script string) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "")
	if err != nil {
		return
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.Stmt:
			r.statement(node)
		case *syntax.BinaryCmd:
			if program, hint := reader(node.Y); program != "" && (node.Op == syntax.Pipe || node.Op == syntax.PipeAll) {
				if c, ok := node.X.Cmd.(*syntax.CallExpr); ok && len(c.Args) > 1 &&
					slices.Contains(printers, c.Args[0].Lit()) {
					r.words(c.Args[1:], program, hint)
				}
			}
		}
		return true
	})
}

// printers are commands that print their arguments and run none of them.
var printers = []string{"echo", "printf"}

func (r *reparsed) statement(s *syntax.Stmt) {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(c.Args) == 0 || slices.Contains(printers, c.Args[0].Lit()) {
		return
	}
	r.call(c.Args)
	program, hint := reader(s)
	if program == "" {
		return
	}
	for _, redirect := range s.Redirs {
		switch {
		case redirect.Hdoc != nil:
			r.words([]*syntax.Word{redirect.Hdoc}, program, hint)
		case redirect.Op == syntax.WordHdoc:
			r.words([]*syntax.Word{redirect.Word}, program, hint)
		}
	}
}

// call checks the words of a command. A shell may follow other words, as in sudo, env, xargs and find -exec.
func (r *reparsed) call(args []*syntax.Word) {
	for i, word := range args {
		rest := args[i+1:]
		switch program := path.Base(plainText(word)); {
		case program == "eval" && leads(args[:i]):
			r.words(rest, program, evalHint)
			return
		case program == "trap" && leads(args[:i]):
			if len(rest) > 0 && plainText(rest[0]) == "--" {
				rest = rest[1:]
			}
			r.words(rest[:min(1, len(rest))], program, evalHint)
			return
		case slices.Contains(shells, program):
			if script, _ := shellScript(rest); script != nil {
				r.words([]*syntax.Word{script}, program, argumentHint)
				return
			}
		case program == "su" || program == "runuser":
			for n, option := range rest {
				if text := plainText(option); text == "-c" || text == "--command" {
					r.words(rest[n+1:min(n+2, len(rest))], program, argumentHint)
					return
				}
			}
		case program == "ssh":
			r.words(remote(rest), program, sshHint)
			return
		}
	}
}

var shells = []string{"sh", "bash", "dash", "ksh", "zsh", "ash"}

// leads reports whether a builtin can follow these words.
func leads(words []*syntax.Word) bool {
	return !slices.ContainsFunc(words, func(w *syntax.Word) bool {
		return !slices.Contains([]string{"command", "builtin"}, plainText(w))
	})
}

// shellScript returns the word that is the script of -c in a shell's arguments. Without one, stdin reports whether
// the shell reads its script from standard input.
func shellScript(args []*syntax.Word) (script *syntax.Word, stdin bool) {
	given := false
	for i := 0; i < len(args); i++ {
		option := plainText(args[i])
		if option == "-" || option == "--" || len(option) < 2 || option[0] != '-' && option[0] != '+' {
			if option == "-" || option == "--" {
				i++
			}
			if given && i < len(args) {
				return args[i], false
			}
			return nil, !given && i >= len(args)
		}
		if strings.HasPrefix(option, "--") {
			if option == "--rcfile" || option == "--init-file" {
				i++
			}
			continue
		}
		if strings.Contains(option, "s") && !strings.Contains(option, "c") {
			return nil, true
		}
		given = given || option[0] == '-' && strings.Contains(option, "c")
		if strings.ContainsAny(option, "oO") {
			i++ // skips the option's name
		}
	}
	return nil, !given
}

// sshOptions are the options of ssh that take a value.
const sshOptions = "BbcDEeFIiJLlmOopPQRSWw"

// remote returns the words that ssh joins and passes to the remote shell.
func remote(args []*syntax.Word) []*syntax.Word {
	host := false
	for i := 0; i < len(args); i++ {
		option := plainText(args[i])
		switch {
		case option == "--" && !host:
		case len(option) > 1 && option[0] == '-':
			if strings.IndexAny(option[1:], sshOptions) == len(option)-2 {
				i++ // skips the value, which may also be in the option's own word
			}
		case !host:
			host = true
		default:
			return args[i:]
		}
	}
	return nil
}

// reader returns the shell that reads its script from a statement's standard input, or the empty string.
func reader(s *syntax.Stmt) (program, hint string) {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok {
		return "", ""
	}
	for i, word := range c.Args {
		switch program := path.Base(plainText(word)); {
		case slices.Contains(shells, program):
			if _, stdin := shellScript(c.Args[i+1:]); stdin {
				return program, stdinHint
			}
			return "", ""
		case program == "ssh":
			command := remote(c.Args[i+1:])
			if len(command) == 0 {
				return program, sshHint
			}
			if !slices.Contains(shells, path.Base(plainText(command[0]))) {
				return "", ""
			}
		}
	}
	return "", ""
}

// words reports the parameters in the words themselves, but not those in command or process substitutions.
func (r *reparsed) words(words []*syntax.Word, program, hint string) {
	for _, word := range words {
		syntax.Walk(word, func(node syntax.Node) bool {
			switch node := node.(type) {
			case *syntax.CmdSubst, *syntax.ProcSubst:
				return false
			case *syntax.ParamExp:
				if node.Param != nil && r.known(node.Param.Value) {
					r.found(node.Param.Value, program, hint)
				}
			}
			return true
		})
	}
}

// plainText returns a word's text if it is constant, else the empty string.
func plainText(w *syntax.Word) string {
	var text strings.Builder
	for _, p := range w.Parts {
		switch p := p.(type) {
		case *syntax.Lit:
			text.WriteString(p.Value)
		case *syntax.SglQuoted:
			text.WriteString(p.Value)
		case *syntax.DblQuoted:
			for _, inner := range p.Parts {
				l, ok := inner.(*syntax.Lit)
				if !ok {
					return ""
				}
				text.WriteString(l.Value)
			}
		default:
			return ""
		}
	}
	return text.String()
}
