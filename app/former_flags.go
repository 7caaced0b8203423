package app

import "github.com/spf13/pflag"

// formerFlags maps the names that flags had before version 0.1.0 to their present names. Until 1.0 a former name works
// on the command line, in the environment and in the configuration file. It is not documented.
var formerFlags = map[string]string{
	"as-they-are":  "include-open",
	"max-breaches": "max-violations",
	"remove-stray": "remove-orphans",
	"retain-every": "cleanup-interval",
}

// currentFlag returns the present name of a flag.
func currentFlag(name string) string {
	if current, former := formerFlags[name]; former {
		return current
	}
	return name
}

func normalizeFlag(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	return pflag.NormalizedName(currentFlag(name))
}

// namesOfFlag returns the present name of a flag, and then its former one if it had one.
func namesOfFlag(name string) []string {
	names := []string{name}
	for former, current := range formerFlags {
		if current == name {
			names = append(names, former)
		}
	}
	return names
}
