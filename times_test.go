package main

import (
	"regexp"
	"testing"
)

// TestPrintedTimesAreTaken checks that each time that the program prints, in any zone, is accepted by its flags as
// the same time.
func TestPrintedTimesAreTaken(t *testing.T) {
	t.Parallel()
	printed := regexp.MustCompile(`\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})`)
	each(t, func(t *testing.T, p program) {
		p.ok(t, "run", "examples/pipelines/exit-codes.yaml")
		for _, zone := range []string{"UTC", "America/New_York", "Asia/Kathmandu"} {
			in := func(args ...string) (int, string) {
				cmd := p.command(args...)
				cmd.Env = append(cmd.Env, "TZ="+zone)
				out, _ := cmd.CombinedOutput()
				return cmd.ProcessState.ExitCode(), string(out)
			}
			for _, args := range [][]string{
				{"list"},
				{"show", "latest"},
				{"events", "--pipeline-execution", "latest"},
			} {
				_, text := in(args...)
				at := printed.FindString(text)
				if at == "" {
					t.Fatalf("%q prints no time:\n%s", args, text)
				}
				if code, out := in("list", "--since", at); code != 0 {
					t.Errorf("TZ=%s list --since %s: exit code %d\n%s", zone, at, code, out)
				}
			}
			_, text := in("events", "--pipeline-execution", "latest")
			times := printed.FindAllString(text, -1)
			first, last := times[0], times[len(times)-1]
			for at, want := range map[string]string{first: "(Queued|Running)", last: "Completed"} {
				if code, out := in("show", "latest", "--at", at); code != 0 || !regexp.MustCompile(`^exit-codes `+want).
					MatchString(out) {
					t.Errorf("TZ=%s show --at %s: exit code %d, expected %s\n%s", zone, at, code, want, out)
				}
			}
		}
	})
}
