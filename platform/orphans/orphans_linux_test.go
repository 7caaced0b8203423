package orphans

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// role is the environment variable that makes the test binary play a role. Only the main goroutine of a program runs
// on its first thread.
const role = "ORPHANS_TEST_ROLE"

func init() {
	if os.Getenv(role) != "" {
		runtime.LockOSThread()
	}
}

var roles = map[string]func(*Reaper) error{"load": load, "list": list}

func TestMain(m *testing.M) {
	work := roles[os.Getenv(role)]
	if work == nil {
		os.Exit(m.Run())
	}
	os.Exit(Run(func(r *Reaper) int {
		if err := errors.Join(r.Adopt(), work(r)); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}))
}

// play runs the test binary in a role.
func play(t *testing.T, name string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestExitCodesAreNotTaken checks that commands get their own exit codes while orphans come and go, and that no
// orphan stays a zombie.
func TestExitCodesAreNotTaken(t *testing.T) { play(t, "load") }

func load(r *Reaper) error {
	const commands, atOnce = 500, 25
	var wg sync.WaitGroup
	wrong, next := make(chan error, commands+1), make(chan int)
	for range atOnce {
		wg.Go(func() {
			for i := range next {
				code := i % 100
				script := fmt.Sprintf("(sleep 0.0%d &); exit %d", i%10, code)
				if i%5 == 0 {
					script = "setsid sh -c '(true &)' >/dev/null 2>&1 & " + script
				}
				cmd := exec.Command("sh", "-c", script)
				err := cmd.Run()
				var exit *exec.ExitError
				if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != code {
					wrong <- fmt.Errorf("command %d: %w", i, err)
				}
				r.Children()
			}
		})
	}
	for i := range commands {
		next <- i
	}
	close(next)
	wg.Wait()
	if err := until(func() bool { return len(r.Children()) == 0 && len(childrenByParent()) == 0 }); err != nil {
		wrong <- fmt.Errorf("children %v are left: %w", childrenByParent(), err)
	}
	close(wrong)
	var errs []error
	for err := range wrong {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// TestChildren checks that Children returns orphans and not processes that the program has started, and that an ended
// child is reaped without a call of Children.
func TestChildren(t *testing.T) { play(t, "list") }

func list(r *Reaper) error {
	own := exec.Command("sleep", "1000")
	if err := own.Start(); err != nil {
		return err
	}
	defer func() { _ = own.Wait() }()
	defer func() { _ = own.Process.Kill() }()
	out, err := exec.Command("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!").Output()
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return err
	}
	if got := r.Children(); !slices.Equal(got, []int{pid}) {
		return fmt.Errorf("children %v, want %d alone", got, pid)
	}
	all, want := childrenByParent(), []int{own.Process.Pid, pid}
	slices.Sort(all)
	slices.Sort(want)
	if !slices.Equal(all, want) {
		return fmt.Errorf("by parent %v, want %v", all, want)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return err
	}
	return until(func() bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) })
}

// until waits up to a minute for a condition.
func until(holds func() bool) error {
	deadline, tick := time.After(time.Minute), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			return errors.New("waited for a minute")
		case <-tick.C:
		}
	}
	return nil
}

// TestElsewhere checks that another thread gets a nil Reaper, and that a nil Reaper has no children.
func TestElsewhere(t *testing.T) {
	got := make(chan *Reaper)
	other := func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if unix.Gettid() == os.Getpid() {
			got <- nil
			return
		}
		Run(func(r *Reaper) int { got <- r; return 0 })
	}
	go other()
	if r := <-got; r != nil || r.Children() != nil || r.Adopt() != nil {
		t.Errorf("got %v", r)
	}
}
