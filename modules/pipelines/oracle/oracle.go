// Package oracle states the trigger rules in the words of the documentation, for tests that compare them with the code.
package oracle

import "slices"

// Kind returns what a dependency counts as: good, bad, skipped, or open. at is its status, and
// above says that it was skipped because of a failure above.
func Kind(at string, above bool) string {
	switch {
	case at == "Completed":
		return "good"
	case at == "Skipped" && !above:
		return "skipped"
	case slices.Contains([]string{"Skipped", "Failed", "Abandoned", "Cancelled"}, at):
		return "bad"
	}
	return "open"
}

// Rule returns what a trigger rule says, given the kinds of the dependencies: wait, run, skip, or fail.
func Rule(rule string, ended []string) string {
	all := func(kinds ...string) bool {
		return !slices.ContainsFunc(ended, func(k string) bool { return !slices.Contains(kinds, k) })
	}
	one := func(kinds ...string) bool {
		return slices.ContainsFunc(ended, func(k string) bool { return slices.Contains(kinds, k) })
	}
	or := func(holds bool, instead string) string {
		switch {
		case holds:
			return "run"
		case one("open"):
			return "wait"
		case one("bad"):
			return instead
		}
		return "skip"
	}
	switch rule {
	case "one_success":
		return or(one("good"), "fail")
	case "one_failed":
		return or(one("bad"), "skip")
	case "one_done":
		return or(one("good", "bad"), "skip")
	case "all_success":
		return or(all("good"), "fail")
	case "all_failed":
		return or(all("bad"), "skip")
	case "all_skipped":
		return or(all("skipped"), "skip")
	case "none_failed":
		return or(all("good", "skipped"), "fail")
	case "none_failed_min_one_success":
		return or(all("good", "skipped") && one("good"), "fail")
	case "none_skipped":
		return or(all("good", "bad"), "skip")
	}
	return or(all("good", "bad", "skipped"), "") // all_done and always
}
