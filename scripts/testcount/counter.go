package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// counter gathers results. A test with subtests is not counted itself, unless it failed and none of them did.
type counter struct {
	out      io.Writer
	tests    map[key]*test
	order    []*test             // as they started
	parents  map[key]bool        // tests that have subtests
	loose    map[string][]string // output of packages, and of builds by import path
	exitCode int                 // of go test

	passed, failed, skipped int
}

type key struct{ pkg, name string }

type test struct {
	key
	result  string // pass, fail or skip; empty for one that never ended
	seconds float64
	output  []string
	counted bool // its package has ended; another go test may run the package again
}

func newCounter(out io.Writer) *counter {
	return &counter{out: out, tests: map[key]*test{}, parents: map[key]bool{}, loose: map[string][]string{}}
}

func (c *counter) add(e event) {
	switch {
	case e.Action == "build-output":
		c.loose[e.ImportPath] = append(c.loose[e.ImportPath], e.Output)
	case e.Package == "" || e.Action == "start" || e.Action == "build-fail":
	case e.Test == "":
		c.addPackage(e)
	default:
		c.addTest(e)
	}
}

func (c *counter) addTest(e event) {
	k := key{e.Package, e.Test}
	t := c.tests[k]
	if t == nil || t.counted {
		t = &test{key: k}
		c.tests[k], c.order = t, append(c.order, t)
		for i := strings.LastIndexByte(k.name, '/'); i > 0; i = strings.LastIndexByte(k.name[:i], '/') {
			c.parents[key{k.pkg, k.name[:i]}] = true
		}
	}
	switch e.Action {
	case "output":
		t.output = append(t.output, e.Output)
	case "pass", "fail", "skip":
		t.result, t.seconds = e.Action, e.Elapsed
		if t.result == "pass" {
			t.output = nil // a long run's output would fill the memory
		}
	}
}

// addPackage ends a package: its tests are counted, and told when something failed.
func (c *counter) addPackage(e event) {
	if e.Action == "output" {
		c.loose[e.Package] = append(c.loose[e.Package], e.Output)
		return
	}
	failedBefore, before := c.failed, c.total()
	var ran []*test
	for _, t := range c.order {
		if t.pkg == e.Package && !t.counted {
			ran = append(ran, t)
		}
	}
	for _, t := range ran {
		c.count(t, ran)
	}
	n := c.total() - before
	if e.Action == "fail" && c.failed == failedBefore {
		c.failed++ // it did not build, or ended without any test's failing
	}
	if c.failed > failedBefore {
		c.tell(e.Package, ran)
	}
	delete(c.loose, e.Package)
	for _, t := range ran {
		t.counted = true
	}
	if n > 0 || e.Action == "fail" {
		fmt.Fprintf(c.out, "%-4s %-50s %4d tests %8.1f s\n",
			map[bool]string{true: "ok", false: "FAIL"}[c.failed == failedBefore], e.Package, n, e.Elapsed)
	}
}

func (c *counter) total() int { return c.passed + c.failed + c.skipped }

func (c *counter) count(t *test, ran []*test) {
	if c.parents[t.key] && (t.result != "fail" && t.result != "" || t.failedBelow(ran)) {
		return
	}
	switch t.result {
	case "pass":
		c.passed++
	case "skip":
		c.skipped++
	default:
		c.failed++
	}
}

func (parent *test) failedBelow(ran []*test) bool {
	return slices.ContainsFunc(ran, func(t *test) bool {
		return strings.HasPrefix(t.name, parent.name+"/") && (t.result == "fail" || t.result == "")
	})
}

// tell shows all that a package's failed tests wrote, and what the package and its builds wrote outside any test.
func (c *counter) tell(pkg string, ran []*test) {
	for _, t := range ran {
		if t.result == "pass" || t.result == "skip" {
			continue
		}
		if t.result == "" {
			fmt.Fprintf(c.out, "--- FAIL: %s (it never ended)\n", t.name)
		}
		fmt.Fprint(c.out, strings.Join(t.output, ""))
	}
	for path, lines := range c.loose {
		if path == pkg || strings.HasPrefix(path, pkg+" [") || strings.HasPrefix(path, pkg+".") {
			fmt.Fprint(c.out, strings.Join(lines, ""))
		}
	}
}

// report writes the slowest tests and the count, and tells whether all went well.
func (c *counter) report() bool {
	slowest := slices.DeleteFunc(slices.Clone(c.order), func(t *test) bool { return c.parents[t.key] })
	slices.SortStableFunc(slowest, func(a, b *test) int { return cmp.Compare(b.seconds, a.seconds) })
	if len(slowest) > 0 {
		fmt.Fprintln(c.out, "\nslowest:")
	}
	for _, t := range slowest[:min(10, len(slowest))] {
		fmt.Fprintf(c.out, "%8.1f s  %s %s\n", t.seconds, t.pkg, t.name)
	}
	total := c.total()
	if total == 0 {
		fmt.Fprintln(c.out, "no tests ran")
	}
	if c.exitCode != 0 && c.failed == 0 {
		fmt.Fprintf(c.out, "go test ended with exit code %d although no test failed\n", c.exitCode)
		c.failed++
	}
	count := fmt.Sprintf("%d passed, %d failed", c.passed, c.failed)
	if c.skipped > 0 {
		count += fmt.Sprintf(", %d skipped", c.skipped)
	}
	fmt.Fprintf(c.out, "\n%s\n", count)
	return total > 0 && c.failed == 0
}
