package main

import (
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: what a person would see, and a keyboard.
type terminal struct {
	keyboard *os.File
	screen   watched
	closed   chan struct{}
}

// onTerminal starts a command on a new terminal with 24 lines of 100 characters.
func onTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	x := &terminal{keyboard: master, closed: make(chan struct{})}
	go func() {
		defer close(x.closed)
		_, _ = io.Copy(&x.screen, master) // it ends with an error when the last program has left the terminal
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, unless the test has failed
		_ = cmd.Wait()
		<-x.closed
		_ = master.Close()
	})
	return x
}

// TestTerminal checks that the progress on a terminal is a table that is redrawn, in colour unless NO_COLOR is set.
func TestTerminal(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		for _, plain := range []bool{false, true} {
			cmd := p.command("run", "examples/first.yaml", "--set", "dir=examples")
			if plain {
				cmd.Env = append(cmd.Env, "NO_COLOR=1")
			}
			x := onTerminal(t, cmd)
			err := cmd.Wait()
			<-x.closed
			seen := x.screen.String()
			if err != nil || !strings.Contains(seen, "7 of 7 tasks done") || !strings.Contains(seen, "A\r\x1b[J") {
				t.Errorf("%v\n%s", err, seen)
			}
			if coloured := strings.Contains(seen, "\x1b[32mCompleted"); coloured == plain {
				t.Errorf("NO_COLOR %v, in colour %v", plain, coloured)
			}
		}
	})
}

// TestControlC presses the key on a terminal.
func TestControlC(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		path, _ := held(t)
		cmd := p.command("run", path)
		x := onTerminal(t, cmd)
		runs := regexp.MustCompile(`wait +\x1b\[36mRunning\x1b\[0m +1/1`)
		dbtest.Eventually(t, "the task runs", func() bool { return runs.MatchString(x.screen.String()) })
		// Until the shell runs, a child may still be in the terminal's foreground process group, and the key would
		// end it too.
		dbtest.Eventually(t, "its shell runs", func() bool {
			_, err := os.Stat(begunBeside(path))
			return err == nil
		})
		if _, err := x.keyboard.Write([]byte{3}); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		<-x.closed
		if cmd.ProcessState.ExitCode() != 130 ||
			!strings.Contains(x.screen.String(), "`sluice serve` goes on with it") {
			t.Errorf("%v\n%s", err, x.screen.String())
		}
	})
}

// TestTerminalTimeline checks that the timeline has the terminal's width, in colour unless NO_COLOR is set, and in
// ASCII if the locale has no more.
func TestTerminalTimeline(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		p.ok(t, "run", "examples/first.yaml", "--set", "dir=examples")
		id := regexp.MustCompile(`[0-9a-f-]{36}`).FindString(p.ok(t, "list"))
		for _, c := range []struct{ env, want, not string }{
			{"LC_ALL=C.UTF-8", "\x1b[32m█", "#"},
			{"LC_ALL=C", "\x1b[32m#", "█"},
			{"NO_COLOR=1", "#", "\x1b["},
		} {
			cmd := p.command("show", id)
			cmd.Env = append(cmd.Env, "LC_ALL=C", c.env)
			x := onTerminal(t, cmd)
			err := cmd.Wait()
			<-x.closed
			seen := x.screen.String()
			if err != nil || !strings.Contains(seen, c.want) || strings.Contains(seen, c.not) {
				t.Errorf("%s: %v\n%s", c.env, err, seen)
			}
			axis := regexp.MustCompile(`(?m)^timeline .*\|0.*$`).FindString(seen)
			if n := len(strings.TrimRight(axis, "\r")); n != 100 {
				t.Errorf("%s: an axis of %d characters on a terminal of 100\n%s", c.env, n, seen)
			}
		}
	})
}
