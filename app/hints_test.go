package app_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/app"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// printedCommand finds commands that the program prints for readers to run.
var printedCommand = regexp.MustCompile("(?m)(?:^next: |^logs +|^older ones: |^more: |`)(sluice [^`\n]+)")

// paste runs printed commands as a shell would, exactly as printed, and checks that each of them works.
func paste(t *testing.T, text string, least int) (printed []string) {
	t.Helper()
	for _, found := range printedCommand.FindAllStringSubmatch(text, -1) {
		line := found[1]
		printed = append(printed, line)
		if strings.Contains(line, " serve") || strings.Contains(line, "FILE") {
			continue // it does not end, or names no file
		}
		var out, errs strings.Builder
		if code := app.Main(t.Context(), shellWords(line)[1:], strings.NewReader(""), &out, &errs); code != 0 {
			t.Errorf("%q: exit code %d\n%s%s", line, code, out.String(), errs.String())
		}
	}
	if len(printed) < least {
		t.Errorf("%d commands are printed, want %d at the least:\n%s", len(printed), least, text)
	}
	return printed
}

// shellWords splits a line as a shell does that knows only single quotes.
func shellWords(line string) (words []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words[len(words)-1] += part
			continue
		}
		fields := strings.Fields(part)
		if i > 0 && len(fields) > 0 && !strings.HasPrefix(part, " ") {
			words[len(words)-1] += fields[0]
			fields = fields[1:]
		}
		words = append(words, fields...)
		if strings.HasSuffix(part, " ") {
			words = append(words, "")
		}
	}
	var out []string
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

// TestPrintedCommandsWork checks that printed commands repeat the database, the tenant, the filters and the limit,
// and work when they are pasted.
func TestPrintedCommandsWork(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, root *program) {
		root.ok(t, "tenants", "create", "acme")
		p := root.of("acme")
		raw := func(args ...string) string {
			r := p.raw(t.Context(), args...)
			return r.stdout + "\n" + r.stderr
		}
		paste(t, raw("run", "../examples/first.yaml", "--set", "dir=../examples"), 1)
		paste(t, raw("run", "../examples/failing.yaml"), 1)
		paste(t, raw("show", "latest:failing", "--timeline", "none"), 1)
		for range 3 {
			p.start(t, "../examples/failing.yaml", "--label", "team=b c")
		}
		older := paste(t, raw("list", "--status", "running", "--label", "team=b c", "--limit", "2"), 1)
		for _, want := range []string{"--status Running", "--label 'team=b c'", "--limit 2", "--tenant acme"} {
			if !strings.Contains(older[0], want) {
				t.Errorf("%s is not in %s", want, older[0])
			}
		}
		paste(t, raw("events", "--type", "task_failed", "--since", "1h", "--limit", "1"), 0)
		paste(t, raw("events", "--limit", "2"), 1)
		paste(t, raw("outbox", "--limit", "2"), 1)
		if printed := paste(t, raw("show", "latest"), 1); !strings.Contains(strings.Join(printed, "\n"),
			"--tenant acme serve") {
			t.Errorf("the command of a worker is not that of the tenant: %q", printed)
		}
		paste(t, raw("show", nobody), 1)
		paste(t, raw("pause", "latest"), 1)
	})
}

// TestPasswordsAreNotPrinted checks that a printed command has the database's URL without its password.
func TestPasswordsAreNotPrinted(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://someone:very%2Fsecret@127.0.0.1:1/none",
		"postgres://someone@127.0.0.1:1/none?password=very%2Fsecret&connect_timeout=1",
	} {
		p := &program{url: url}
		r := p.raw(t.Context(), "show", "xyz")
		if r.code != 2 || strings.Contains(r.stderr, "secret") ||
			!strings.Contains(r.stderr, "someone@127.0.0.1:1/none") {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		}
	}
}

// TestPages checks that next, given to --cursor, continues without a gap in events and in the outbox, and that a
// complete list has no next.
func TestPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.ok(t, "start", "../examples/failing.yaml", "--count", "5")
		whole := p.events(t, "--limit", "1000")
		var paged []event
		args := []string{"events", "--limit", "7", "-o", "json"}
		for cursor := ""; ; {
			page := decode[listing[event]](t, p.ok(t, append(args, "--cursor", cursor)...))
			paged = append(append([]event{}, page.Items...), paged...)
			if page.Next == nil {
				break
			}
			cursor = *page.Next
		}
		if len(paged) != len(whole) || paged[0].ID != whole[0].ID {
			t.Errorf("%d events in pages, %d at once", len(paged), len(whole))
		}
		for i := range paged {
			if paged[i].ID != whole[i].ID {
				t.Fatalf("event %d differs", i)
			}
		}
		type row struct{ Row int64 }
		all := decode[listing[row]](t, p.ok(t, "outbox", "-o", "json"))
		var rows []row
		for cursor := ""; ; {
			page := decode[listing[row]](t, p.ok(t, "outbox", "--limit", "2", "-o", "json", "--cursor", cursor))
			rows = append(rows, page.Items...)
			if page.Next == nil {
				break
			}
			cursor = *page.Next
		}
		if all.Next != nil || len(all.Items) != 5 || len(rows) != 5 || rows[4] != all.Items[4] ||
			rows[2] != all.Items[2] {
			t.Errorf("%v in pages, %+v at once", rows, all)
		}
	})
}

// TestFollowBeginsNow checks that without --since only later events are shown.
func TestFollowBeginsNow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "two.yaml", two)
		p.ok(t, "run", path)
		before := p.events(t)
		following := p.begin(t, "events", "--follow", "--limit", "1", "-o", "json")
		dbtest.Eventually(t, "an event comes", func() bool {
			p.start(t, path)
			return len(following.done) > 0
		})
		got := lines(t, following.wait(t).stdout)
		if len(got) != 1 || got[0].SequenceNum <= before[len(before)-1].SequenceNum {
			t.Errorf("the first event is %+v, the last before was %d", got, before[len(before)-1].SequenceNum)
		}
	})
}

// TestInterruptedOrder checks that an interrupted command for many executions reports how many were done, and that
// the same command does the rest.
func TestInterruptedOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.ok(t, "start", file(t, "two.yaml", two), "--count", "3000")
		order := p.begin(t, "cancel", "--pipeline", "two", "--yes", "-o", "json")
		count := func(status string) string { return strings.TrimSpace(p.ok(t, "count", "--status", status)) }
		dbtest.Eventually(t, "some are cancelled", func() bool { return count("cancelled") != "0" })
		r := order.stop(t)
		done := decode[manyDone](t, r.stdout)
		if r.code == 0 && done.Done == 3000 {
			return // it was done before the interrupt
		}
		if r.code != 130 || done.Matched != 3000 || done.Done == 0 || done.Done >= 3000 ||
			count("cancelled") == "3000" {
			t.Errorf("exit code %d, %+v\n%s", r.code, done, r.stderr)
		}
		contains(t, r.stderr, "are left; the same command goes on")
		p.ok(t, "cancel", "--pipeline", "two", "--yes")
		if count("cancelled") != "3000" {
			t.Errorf("%s are cancelled in the end", count("cancelled"))
		}
	})
}

// TestUnreadableURLsAreNotPrinted checks that a printed command has no secret of a URL, even of an invalid one.
func TestUnreadableURLsAreNotPrinted(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"host=127.0.0.1 user=someone password=verysecret dbname=none", "postgres:/someone:verysecret@127.0.0.1:1/none",
		"someone:verysecret@127.0.0.1/none",
		"postgres://someone:very/secret@127.0.0.1:1/none",
		"postgres://someone@127.0.0.1:1/none?sslpassword=verysecret&sslmode=disable",
		"postgres://someone@127.0.0.1:1/none?passphrase=verysecret",
	} {
		p := &program{url: url}
		for _, args := range [][]string{{"show", "xyz"}, {"list"}, {"start", "none"}, {"list", "--limt", "1"}} {
			if r := p.raw(t.Context(), args...); r.code == 0 || strings.Contains(r.stderr+r.stdout, "secret") {
				t.Errorf("%s: %q: exit code %d\n%s%s", url, args, r.code, r.stdout, r.stderr)
			}
		}
	}
}
