package shell

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
)

const maxEnvFile = 1 << 20

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// readEnvFile returns the variables of a file as NAME=value. Each line is NAME=value, empty, or a comment that begins
// with #. The name may follow `export `. A value in single quotes is literal. In double quotes, \n, \r, \t, \", \\
// and \$ are escapes. An unquoted value ends before " #" and is trimmed of white space. Nothing is expanded. The
// error names the file and the line but never contains a value, because values are often secrets.
func readEnvFile(path string) ([]string, error) {
	text, err := readRegular(path)
	if err != nil {
		return nil, fmt.Errorf("env_file: %w", err)
	}
	var env []string
	for i, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, err := variable(line)
		if err != nil {
			return nil, fmt.Errorf("env_file: %s:%d: %w", path, i+1, err)
		}
		env = append(env, name+"="+value)
	}
	return env, nil
}

// readRegular returns the content of a regular file of at most maxEnvFile bytes. It opens the file without blocking,
// because the path may be a named pipe.
func readRegular(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // read only
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a regular file", path)
	case info.Size() > maxEnvFile:
		return "", fmt.Errorf("%s has %d bytes, at most %d are read", path, info.Size(), maxEnvFile)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxEnvFile))
	return string(text), err
}

func variable(line string) (name, value string, err error) {
	if rest, ok := strings.CutPrefix(line, "export "); ok {
		line = strings.TrimLeft(rest, " \t")
	}
	name, value, ok := strings.Cut(line, "=")
	switch name = strings.TrimRight(name, " \t"); {
	case !ok:
		return "", "", fmt.Errorf("expected NAME=value")
	case !variableName.MatchString(name):
		return "", "", fmt.Errorf("expected a variable's name before the first =")
	}
	value = strings.TrimLeft(value, " \t")
	switch {
	case strings.HasPrefix(value, "'"):
		value, err = quotedValue(value, '\'')
	case strings.HasPrefix(value, `"`):
		value, err = quotedValue(value, '"')
	default:
		value = plainValue(value)
	}
	if err == nil && strings.ContainsRune(value, 0) {
		err = fmt.Errorf("the value of %s holds a NUL byte", name)
	}
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", name, err)
	}
	return name, value, nil
}

func plainValue(s string) string {
	if strings.HasPrefix(s, "#") {
		return ""
	}
	for i := 1; i < len(s); i++ {
		if s[i] == '#' && (s[i-1] == ' ' || s[i-1] == '\t') {
			s = s[:i]
			break
		}
	}
	return strings.TrimRight(s, " \t")
}

// quotedValue returns the value of s, which begins with quote. Only a comment may follow the closing quote.
func quotedValue(s string, quote byte) (string, error) {
	var value strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			if rest := strings.TrimLeft(s[i+1:], " \t"); rest != "" && rest[0] != '#' {
				return "", fmt.Errorf("characters follow the closing quote")
			}
			return value.String(), nil
		case c == '\\' && quote == '"' && i+1 < len(s):
			i++
			value.WriteString(escape(s[i]))
		default:
			value.WriteByte(c)
		}
	}
	return "", fmt.Errorf("the quote is not closed on its line")
}

func escape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case '"', '\\', '$':
		return string(c)
	}
	return `\` + string(c)
}
