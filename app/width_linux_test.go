package app_test

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/sluiceworks/sluice/app"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// onScreen runs a command line with a terminal of the given width as its output, and returns what the terminal shows.
func (p *program) onScreen(t *testing.T, width uint16, args ...string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width})
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	shown := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(master) // it ends with an error when the terminal is closed
		shown <- string(text)
	}()
	code := app.Main(t.Context(), p.line(args), strings.NewReader(""), slave, io.Discard)
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	text := <-shown
	_ = master.Close()
	if code != 0 {
		t.Fatalf("%q: exit code %d", args, code)
	}
	return strings.ReplaceAll(text, "\r\n", "\n")
}

// TestTablesFitTheTerminal checks that no line is wider than the terminal, that cuts are marked, and that ids are
// complete if they fit. An error shows its last line however narrow the terminal is.
func TestTablesFitTheTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	p := &program{url: dbtest.SQLiteURL(t)}
	long := strings.Repeat("a long reason ", 20)
	p.run(t, "run", file(t, "wide.yaml",
		"name: a-pipeline-with-a-rather-long-name\ntasks:\n  - {id: a-task-with-a-long-name, run: 'echo "+long+
			" >&2; exit 1'}\n"))
	id := decode[listing[execution]](t, p.ok(t, "list", "-o", "json")).Items[0].ID
	p.run(t, "run", file(t, "orders.yaml", `
name: orders
tasks:
  - {id: a, run: 'printf "Traceback:\n  File orders.py\nKeyError: amount\n" >&2; exit 22'}
`))
	waiting := p.start(t, file(t, "queue.yaml", "name: queue\ntasks:\n  - {id: a, queue: gpu, run: 'true'}\n"))
	cmd, _ := p.process(t, "serve", "--queues", "a-queue,another-queue,a-third-queue")
	dbtest.Eventually(t, "the worker is there",
		func() bool { return len(decode[listing[any]](t, p.ok(t, "workers", "-o", "json")).Items) == 1 })
	defer kill(t, cmd)
	for _, width := range []uint16{60, 100, 160} {
		for _, args := range [][]string{
			{"list"},
			{"events"},
			{"workers"},
			{"outbox"},
			{"show", id, "--timeline", "none"},
		} {
			for line := range strings.Lines(p.onScreen(t, width, args...)) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > int(width) && args[0] != "show" {
					t.Errorf("%s on %d columns: a line of %d: %s", args[0], width, n, line)
				}
			}
		}
		if text := p.onScreen(t, width, "list"); !strings.Contains(text, id) || !strings.Contains(text, waiting) ||
			!strings.Contains(text, "…") ||
			!strings.Contains(text, "\n  KeyError: amount\n") {
			t.Errorf("list on %d columns:\n%s", width, text)
		}
	}
	if text := p.ok(t, "list"); strings.Contains(text, "…") && len(text) < 200 {
		t.Errorf("a program that reads the list gets a part of it:\n%s", text)
	}
}
