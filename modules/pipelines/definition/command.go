package definition

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// Command configures how a task's Run text is run. The zero value runs it with `sh -e` in the worker's directory.
// EnvFile lists files of NAME=value lines, which are read when an attempt starts.
type Command struct {
	// Shell is sh (the default), bash, python, or a template with {0} for the script's file.
	Shell            string   `json:"shell,omitempty"`
	WorkingDirectory string   `json:"working_directory,omitempty"` // may contain ${{ }}
	EnvFile          []string `json:"env_file,omitempty"`          // may contain ${{ }}

	PermanentExitCodes tasks.ExitCodes `json:"permanent_exit_codes,omitempty"` // no further attempt after one of these
	SkipExitCodes      tasks.ExitCodes `json:"skip_exit_codes,omitempty"`      // the task becomes Skipped
}

// commandKeys are the keys that only tasks with `run`, and defaults, may have.
var commandKeys = []string{"shell", "working_directory", "env_file", "permanent_exit_codes", "skip_exit_codes"}

// settingsOfSluice are the variables with the prefix SLUICE_ that a task may declare. A command that calls sluice
// itself needs them, and the worker does not pass its own.
var settingsOfSluice = []string{"SLUICE_DATABASE_URL", "SLUICE_TENANT", "SLUICE_CONFIG"}

var allTaskKeys = slices.Concat(taskKeys, commandKeys)

const (
	exitCodeHint = "from 1 to 255, such as [2, 64-78]"
	shellHint    = "sh, bash, python, or a command with {0} for the script's file, such as: perl {0}"
)

// scriptPath is replaced by the path of the script's file in a template of Shell.
const scriptPath = "{0}"

// command reads the value of p if its key is one of commandKeys, and reports whether it is.
func (r reader) command(c *Command, p yamlfile.Entry, at *yamlfile.Path) bool {
	switch p.Name {
	case "shell":
		c.Shell = r.Text(p.Value, at, p.Name)
	case "working_directory":
		c.WorkingDirectory = r.Text(p.Value, at, p.Name)
	case "env_file":
		c.EnvFile = r.Texts(p.Value, at, p.Name)
	case "permanent_exit_codes":
		c.PermanentExitCodes = r.exitCodes(p.Value, at, p.Name)
	case "skip_exit_codes":
		c.SkipExitCodes = r.exitCodes(p.Value, at, p.Name)
	default:
		return false
	}
	return true
}

func (r reader) exitCodes(n *yaml.Node, at *yamlfile.Path, what string) tasks.ExitCodes {
	entries := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		entries = n.Content
	}
	codes := tasks.ExitCodes{}
	for i, e := range entries {
		at := at
		if n.Kind == yaml.SequenceNode {
			at = at.Item(i)
		}
		if e.Kind != yaml.ScalarNode {
			r.AddAt(e, at, exitCodeHint, "%s must be exit codes, and holds %s", what, yamlfile.Describe(e))
			continue
		}
		code, err := tasks.ParseExitCodeRange(e.Value)
		if err != nil {
			r.AddAt(e, at, exitCodeHint, "%s: %v", what, err)
			continue
		}
		codes = append(codes, code)
	}
	return codes
}

// checkCommand checks the Command of a task with Run.
func (t *Task) checkCommand(r *yamlfile.Decoder, at *yamlfile.Path) {
	checkText(r, at.Key("shell"), "shell", t.Shell)
	switch template := strings.Contains(t.Shell, scriptPath); {
	case expr.IsTemplate(t.Shell):
		r.Add(at.Key("shell"), "", "shell holds ${{ }}, which is not evaluated there")
	case template && strings.HasPrefix(strings.TrimSpace(t.Shell), scriptPath):
		r.Add(at.Key("shell"), shellHint, "shell begins with {0}, and must begin with a program")
	case t.Shell != "" && !template && !slices.Contains([]string{"sh", "bash", "python"}, t.Shell):
		r.Add(at.Key("shell"), shellHint, "unknown shell %q", t.Shell)
	}
	checkText(r, at.Key("working_directory"), "working_directory", t.WorkingDirectory)
	for i, file := range t.EnvFile {
		checkText(r, at.Key("env_file").Item(i), "env_file", file)
		if strings.TrimSpace(file) == "" && !r.IsSuppressed(at.Key("env_file").Item(i)) {
			r.Add(at.Key("env_file").Item(i), "", "an entry of env_file is empty")
		}
	}
	t.checkExitCodes(r, at)
}

func (t *Task) checkExitCodes(r *yamlfile.Decoder, at *yamlfile.Path) {
	check := func(key string, codes tasks.ExitCodes) {
		for i, c := range codes {
			if _, err := tasks.ParseExitCodeRange(c.String()); err != nil {
				r.Add(at.Key(key).Item(i), exitCodeHint, "%s: %v", key, err)
			}
		}
	}
	check("permanent_exit_codes", t.PermanentExitCodes)
	check("skip_exit_codes", t.SkipExitCodes)
	for i, s := range t.SkipExitCodes {
		for _, p := range t.PermanentExitCodes {
			if s.From <= p.To && p.From <= s.To {
				r.Add(at.Key("skip_exit_codes").Item(i), "", "skip_exit_codes %s and permanent_exit_codes %s overlap",
					s, p)
			}
		}
	}
}

// inherit copies from the defaults the fields that are not set.
func (c *Command) inherit(defaults *Command) {
	if c.Shell == "" {
		c.Shell = defaults.Shell
	}
	if c.WorkingDirectory == "" {
		c.WorkingDirectory = defaults.WorkingDirectory
	}
	if c.EnvFile == nil {
		c.EnvFile = defaults.EnvFile
	}
	if c.PermanentExitCodes == nil {
		c.PermanentExitCodes = defaults.PermanentExitCodes
	}
	if c.SkipExitCodes == nil {
		c.SkipExitCodes = defaults.SkipExitCodes
	}
}

// checkNoCommand reports fields of Command in a task without Run.
func (t *Task) checkNoCommand(r *yamlfile.Decoder, at *yamlfile.Path) {
	set := []bool{
		t.Shell != "", t.WorkingDirectory != "", t.EnvFile != nil, t.PermanentExitCodes != nil, t.SkipExitCodes != nil,
	}
	for i, key := range commandKeys {
		if set[i] {
			r.Add(at.Key(key), "", "%s belongs to run, and the task has uses", key)
		}
	}
}

// posix reports whether the script is run by a shell in which an expression can be a parameter expansion.
func (c *Command) posix() bool {
	program, _, _ := strings.Cut(strings.TrimSpace(c.Shell), " ")
	switch path.Base(program) {
	case "sh", "bash", "dash", "ksh", "zsh", "ash", ".":
		return true
	}
	return false
}

// arguments compiles the arguments of the shell handler other than the script. Each is text, whatever type its
// expressions have.
func (c *taskCompiler) arguments(t *Task, script string) {
	fixed := shellArguments{script, t.Command}
	c.out.fixed.With = jsonvalue.MustEncode(fixed)
	if !expr.IsTemplate(t.WorkingDirectory) && !slices.ContainsFunc(t.EnvFile, expr.IsTemplate) {
		return
	}
	v, err := jsonvalue.Decode(c.out.fixed.With)
	if err != nil {
		c.report.Add(c.path().Key("run"), "", "run: %v", err)
		return
	}
	with, dynamic := v.(map[string]any), false
	text := func(at *yamlfile.Path, s string) any {
		value, d := c.tree(at, s)
		dynamic = dynamic || d
		if t, ok := value.(*expr.Template); ok {
			t.Text = true
		}
		return value
	}
	if t.WorkingDirectory != "" {
		with["working_directory"] = text(c.path().Key("working_directory"), t.WorkingDirectory)
	}
	for i, file := range t.EnvFile {
		with["env_file"].([]any)[i] = text(c.path().Key("env_file").Item(i), file)
	}
	if dynamic {
		c.out.with = with
	} else {
		c.out.fixed.With = jsonvalue.MustEncode(with)
	}
}

// shellArguments are the arguments of the shell handler.
type shellArguments struct {
	Script string `json:"script"`
	Command
}

// otherLanguage is the hint for an expression in a script that is not for a POSIX shell.
const otherLanguage = "give it a name in env: and read that environment variable in the script"
